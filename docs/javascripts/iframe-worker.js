// Browsers start no workers for a page that was opened from the disk. This one runs the script of the
// search in a hidden frame instead, so that the search works there, too.
if (location.protocol === "file:") {
  window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.waiting = [];
      this.frame = document.createElement("iframe");
      this.frame.hidden = true;
      const script = new URL(url, location).href;
      this.frame.srcdoc = `<!doctype html><script>
        window.postMessage = data => parent.dispatchEvent(new CustomEvent("from-search", { detail: data }));
        window.importScripts = (...urls) => Promise.all(urls.map(url => new Promise((resolve, reject) => {
          const script = document.createElement("script");
          script.src = url;
          script.onload = resolve;
          script.onerror = reject;
          document.head.append(script);
        })));
      <\/script><script src="${script}"><\/script>`;
      this.frame.addEventListener("load", () => {
        const waiting = this.waiting;
        this.waiting = null;
        waiting.forEach(data => this.deliver(data));
      });
      addEventListener("from-search", event => {
        const message = new MessageEvent("message", { data: event.detail });
        this.onmessage?.(message);
        this.dispatchEvent(message);
      });
      document.body ? this.start() : addEventListener("DOMContentLoaded", () => this.start());
    }
    start() {
      document.body.append(this.frame);
    }
    postMessage(data) {
      this.waiting ? this.waiting.push(data) : this.deliver(data);
    }
    deliver(data) {
      this.frame.contentWindow.dispatchEvent(new MessageEvent("message", { data }));
    }
    terminate() {
      this.frame.remove();
    }
  };
}
