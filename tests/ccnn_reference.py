"""CCNN's cycle transcribed from the paper's formulas, slow, in float64, for comparison."""

import jax
import numpy as np


def relu(x):
    return np.maximum(x, 0)


def softmax(u):
    e = np.exp(u - u.max())
    return e / e.sum()


class Slow:
    """One cycle of table I in float64, image by image and weight by weight."""

    def __init__(self, config, state, batch):
        self.config = config
        self.state = state
        self.kernel = np.asarray(state.variables.params["kernel"], np.float64)
        self.scale = float(state.scale)
        self.head = jax.tree.map(lambda a: np.asarray(a, np.float64), state.head)
        self.pixels = (np.asarray(batch, np.float64) / 255).reshape(len(batch), -1)

    def trunk(self, i):
        """The inputs x of FC9 for image i."""
        return self.scale * np.tanh(self.pixels[i] @ self.kernel)

    def slope(self, i):
        """The derivative of the trunk's outputs with respect to its products with the pixels."""
        return self.scale * (1 - np.tanh(self.pixels[i] @ self.kernel) ** 2)

    def h(self, x, fc9):
        """The features of FC9."""
        return relu(x @ fc9["kernel"] + fc9["bias"])

    def gradient(self, x, label):
        """Eq. 2 to 10: the gradients of the head and of the trunk's output, and the loss.

        The derivatives are the true ones, or with gradient "printed" those of the paper.
        """
        k = self.config.clusters
        w9 = self.head["fc9"]
        ws = self.head["softmax"]
        h = self.h(x, w9)
        y = softmax(h @ ws["kernel"] + ws["bias"])
        t = np.eye(k)[label]
        du = np.zeros(k)
        for j in range(k):
            for i in range(k):  # the softmax's Jacobian
                du[j] += (y[i] - t[i]) * y[i] * ((i == j) - y[j])
        if self.config.gradient == "printed":
            du = (y - t) * np.maximum(y, 0)  # eq. 3, 4
        dh = ws["kernel"] @ du  # eq. 7
        slope = (h > 0).astype(float)  # eq. 8
        if self.config.gradient == "printed":
            slope = np.maximum(h, 0)
        head = {
            "fc9": {"kernel": np.outer(x, dh * slope), "bias": dh * slope},  # eq. 9, 10
            "softmax": {"kernel": np.outer(h, du), "bias": du},  # eq. 5, 6
        }
        return head, w9["kernel"] @ (dh * slope), 0.5 * np.sum((y - t) ** 2)

    def run(self):
        """The cycle: centroids, counts, head and trunk after it, and its four scalars."""
        config = self.config
        n = len(self.pixels)
        centroids = np.asarray(self.state.centroids, np.float64)
        counts = np.asarray(self.state.counts).copy()
        before = [self.h(self.trunk(i), self.head["fc9"]) for i in range(n)]
        labels = [int(np.argmin([np.sum((h - c) ** 2) for c in centroids])) for h in before]
        distance = [
            np.sqrt(np.sum((h - centroids[y]) ** 2)) for h, y in zip(before, labels, strict=True)
        ]
        kept = []  # M' of table I
        for start in range(0, n, config.batch):
            members = range(start, start + config.batch)
            rank = dict.fromkeys(members, 0)
            if config.select == "balanced":
                for i in members:
                    rank[i] = sum(
                        labels[j] == labels[i] and distance[j] < distance[i] for j in members
                    )
            kept += sorted(members, key=lambda i: (rank[i], distance[i]))[: config.reliable]
        heads = []
        kernel = np.zeros_like(self.kernel)
        loss = 0.0
        for i in kept:
            head, dx, value = self.gradient(self.trunk(i), labels[i])
            heads.append(head)
            kernel += np.outer(self.pixels[i], dx * self.slope(i)) / len(kept)
            loss += value / len(kept)
        old = self.head
        if config.trainable != "nothing":
            mean = jax.tree.map(lambda *g: np.mean(g, axis=0), *heads)
            self.head = jax.tree.map(lambda w, g: w - config.learning_rate * g, old, mean)
        if config.trainable == "all":
            self.kernel = self.kernel - config.learning_rate * kernel
        moving = {"last": range(n - config.batch, n), "reliable": kept, "all": range(n)}[
            config.update_with
        ]
        previous = jax.tree.map(lambda a: np.asarray(a, np.float64), self.state.fc9_step)
        drift = 0.0
        for i in range(n) if config.count == "assigned" else ():
            counts[labels[i]] += i not in moving
        for i in moving:
            after = self.h(self.trunk(i), self.head["fc9"])
            drift += np.sqrt(np.sum((after - before[i]) ** 2)) / len(moving)
            if config.compensation == "none":
                feature = after  # eq. 11
            elif config.compensation == "all":
                feature = before[i]
            elif config.backtrack == "previous":
                feature = self.h(self.trunk(i), jax.tree.map(np.subtract, old["fc9"], previous))
            else:  # Eq. 13: FC9 is tracked back, the rest stays as it is now.
                feature = self.h(self.trunk(i), old["fc9"])
            label = labels[i]
            counts[label] += 1
            rate = 1 / counts[label]  # eq. 12
            centroids[label] = (1 - rate) * centroids[label] + rate * feature  # eq. 14
        length = np.mean([np.linalg.norm(before[i]) for i in moving])
        return centroids, counts, self.head, self.kernel, (loss, np.mean(distance), drift, length)
