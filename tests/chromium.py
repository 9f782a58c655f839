"""Pages opened in Chromium, which tell what they show."""

import json
import os
import signal
import subprocess
import threading

# A page tells the page around it what it shows, since Chromium's own window is never narrower than
# 500 pixels. One page is open at a time, so that it has the focus and is in view. The page around
# it passes on what it is told as it writes to the console.
FRAMES = """<!doctype html><meta name="color-scheme" content="light dark"><body><script>
const frames = FRAMES;
const next = () => {
  document.querySelector("iframe")?.remove();
  // What the last page complains of may come a little later.
  if (!frames.length) { setTimeout(() => console.log("TOLD null"), 200); return; }
  const frame = document.createElement("iframe");
  [frame.src, frame.width] = frames.shift();
  frame.height = 900;
  document.body.append(frame);
};
addEventListener("message", event => {
  console.log("TOLD " + JSON.stringify(event.data));
  next();
});
next();
</script></body>"""


def opened(folder, paths, probe, widths, dark=False):
    """What Chromium logged, and what each page said of itself at each width.

    Args:
      folder: where the pages are opened; each is written here with the probe in it.
      paths: the pages.
      probe: a script element that posts an object to the page around it.
      widths: of the pages, in pixels.
      dark: whether the reader prefers dark pages.
    """
    for one in paths:
        (folder / one.name).write_text(one.read_text().replace("</body>", f"{probe}</body>"))
    frames = [(one.name, width) for one in paths for width in widths]
    (folder / "frames.html").write_text(FRAMES.replace("FRAMES", json.dumps(frames), 1))
    browser = subprocess.Popen(
        [
            *("chromium", "--headless", "--no-sandbox", "--disable-gpu", "--enable-logging=stderr"),
            *(f"--user-data-dir={folder / 'profile'}", "--remote-debugging-port=0"),
            *("--window-size=1400,1000", f"--blink-settings=preferredColorScheme={1 - dark}"),
            (folder / "frames.html").as_uri(),
        ],
        stderr=subprocess.PIPE,
        text=True,
        start_new_session=True,
    )
    # Chromium and the processes that it started; a page that tells nothing ends in the same way.
    end = threading.Timer(60, os.killpg, (browser.pid, signal.SIGKILL))
    end.start()
    log = []
    told = []
    with browser:
        for line in browser.stderr:
            message = line.partition('"TOLD ')[2].rpartition('", source: ')[0]
            if message == "null":
                break
            if message:
                told.append(json.loads(message))
            else:
                log.append(line)
        end.cancel()
        os.killpg(browser.pid, signal.SIGKILL)
    return "".join(log), told
