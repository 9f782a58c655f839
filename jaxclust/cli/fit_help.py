"""What ``jaxclust fit --help`` prints: the options of every run in groups, the common ones first.

Each option has one short line here; ``jaxclust fit METHOD --help`` has the whole text.
"""

import textwrap

from jaxclust.cli.options import CHOICES

WIDTH = 80
"""Letters of a line, as of tyro's help."""
INDENT = 26
"""Where the text beside an option begins."""
USAGE = """usage: jaxclust fit [METHOD] --data NAME_OR_PATH [OPTIONS]
       jaxclust fit --methods A,B --data X,Y [OPTIONS]

Clusters images with a method, for many seeds at once. Without METHOD the kind of
the images decides; jaxclust methods lists what it can be."""
GROUPS: dict[str, dict[str, str]] = {
    "common": {
        "--data NAME_OR_PATH": "a named set, a folder or archive of pictures, an .npz or .npy file",
        "--clusters K|auto": "number of clusters; the number of classes where they are known",
        "--seeds N|LIST": "how many, or which (0,3,7); 10 if that takes less than two minutes, "
        "or 5",
        "--preset NAME": "default, paper (the published settings) or quick (fewer epochs)",
        "--features NAME": "features in the images' place, such as efficientnet-lite0",
        "--out DIR": "folder of the run; runs/METHOD-DATA unless given",
        "--resume": "go on with the run in the folder",
        "--overwrite": "delete an earlier run's files in the folder",
        "--max-seconds SECONDS": "stop after this long; --resume goes on",
        "--quiet": "show no progress and no table",
    },
    "pictures": {
        "--size HEIGHT,WIDTH": "size to which pictures are brought",
        "--resize crop|pad|stretch": "how they get there",
        "--labels FILE.csv": "a table of their classes",
        "--no-labels": "do not take folders for classes",
        "--layout nhwc|nchw": "where the channels of arrays are",
        "--strict": "refuse pictures that cannot be read",
    },
    "number of clusters": {
        "--cluster-range LOW,HIGH": "what --clusters auto tries (2,20)",
        "--criterion NAME": f"what it goes by: {', '.join(CHOICES[:-1])} or {CHOICES[-1]}",
    },
    "network and speed": {
        "--weights FILE": "weights of the network's first layers",
        "--pretrained RUN": "a finished run whose pretraining is used",
        "--over NAME": "how seeds run: auto, vmap, map, shard or data",
        "--stream": "read the images in blocks",
        "--no-cache": "do not keep compiled programs",
    },
    "several machines": {
        "--distributed": "run in several processes, of which each is given this command",
        "--coordinator HOST:PORT": "where process 0 waits, if nothing else says it",
        "--processes N": "how many there are",
        "--process I": "the number of this one, from 0",
    },
    "what is made": {
        "--no-baseline": "no k-means beside the method",
        "--no-figures": "no figures",
        "--tensorboard": "the history as TensorBoard event files, too",
    },
}
"""Options by group, each with its value and one line about it."""
MORE = """More help:
  jaxclust fit METHOD --help       every option in full, and each setting of the
                                   method, such as jaxclust fit dcec --help
  jaxclust fit --methods A --help  several methods on several image sets"""


def short_help() -> str:
    """The help of ``jaxclust fit`` without a method."""
    blocks = [USAGE]
    for title, options in GROUPS.items():
        lines = [f"{title}:"]
        for option, about in options.items():
            text = textwrap.wrap(about, WIDTH - INDENT)
            head = f"  {option}"
            if len(head) < INDENT - 1:
                lines.append(f"{head:{INDENT}}{text.pop(0)}")
            else:
                lines.append(head)
            lines += [" " * INDENT + line for line in text]
        blocks.append("\n".join(lines))
    return "\n\n".join([*blocks, MORE])
