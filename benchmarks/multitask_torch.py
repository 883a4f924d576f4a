"""Torch's contestants of ``multitask.py``: a shared bottom with masked losses, and torchjd on it.

One hidden layer of relus for all tasks, a softmax head each, the mean over tasks of the mean
cross-entropy over a task's labels, Adam. With an aggregator of torchjd the hidden layer takes the
aggregated gradient, the heads their own. Batches, number of epochs and the choice on the held-out
rows are those of `multitask_models`.

``python multitask_torch.py SET VARIANT SEED FOLDER full|tiny`` prints the errors as JSON.
"""

import json
import sys

import numpy as np
import torch
from multitask_models import BATCH, TORCH_GRID, error, errors, lowest, n_epochs
from multitask_sets import draw
from torch import nn
from torch.nn.functional import cross_entropy


def shared_bottom(problem, variant, seed, tiny):
    X, Y = problem.X, problem.Y
    X = torch.from_numpy(X.toarray() if hasattr(X, "toarray") else X)
    labels = torch.from_numpy(np.nan_to_num(Y, nan=-1).astype(np.int64))
    n_iter = n_epochs(Y[problem.fit], tiny)
    fits = [
        epochs(X, labels, problem, problem.fit, variant, setting, seed, n_iter)
        for setting in TORCH_GRID
    ]
    choice = lowest([[mean_loss(net, X, labels, problem.valid) for net in fit] for fit in fits])
    n_iter = max(1, round(choice[1] * n_epochs(Y[problem.train], tiny)))
    *_, net = epochs(
        X, labels, problem, problem.train, variant, TORCH_GRID[choice[0]], seed, n_iter
    )

    def of_task(t):
        with torch.no_grad():
            scores = net(X[problem.labelled(problem.test, t)])[t]
        return error(problem, t, torch.softmax(scores, 1).numpy(), np.arange(problem.n_classes[t]))

    return {"errors": errors(problem, of_task), "chosen": choice}


class Network(nn.Module):
    """Scores of every task from one hidden layer."""

    def __init__(self, n_features, n_hidden, n_classes):
        super().__init__()
        self.hidden = nn.Linear(n_features, n_hidden)
        self.heads = nn.ModuleList(nn.Linear(n_hidden, k) for k in n_classes)

    def code(self, X):
        return torch.relu(self.hidden(X))

    def forward(self, X):
        code = self.code(X)
        return [head(code) for head in self.heads]


def losses(network, code, labels):
    """Mean cross-entropy of every task that has labels among the rows."""
    return [
        cross_entropy(head(code[y >= 0]), y[y >= 0])
        for head, y in zip(network.heads, labels.T, strict=True)
        if (y >= 0).any()
    ]


def mean_loss(network, X, labels, rows):
    with torch.no_grad():
        return float(torch.stack(losses(network, network.code(X[rows]), labels[rows])).mean())


def epochs(X, labels, problem, rows, variant, setting, seed, n_iter):
    """The network after each epoch."""
    torch.manual_seed(seed)
    network = Network(X.shape[1], setting["n_components"], problem.n_classes)
    optimizer = torch.optim.Adam(network.parameters(), lr=setting["learning_rate"])
    for _ in range(n_iter):
        for index in torch.from_numpy(rows)[torch.randperm(len(rows))].split(BATCH):
            optimizer.zero_grad()
            code = network.code(X[index])
            of_tasks = losses(network, code, labels[index])
            if not of_tasks:
                continue
            backward(variant, network, code, of_tasks)
            optimizer.step()
        yield network


def backward(variant, network, code, of_tasks):
    """Gradients of the mean loss, or of what an aggregator of torchjd makes of them."""
    if variant == "plain":
        torch.stack(of_tasks).mean().backward()
        return
    from torchjd.aggregation import IMTLG, UPGrad
    from torchjd.autojac import jac_to_grad, mtl_backward

    mtl_backward(of_tasks, features=code)
    jac_to_grad(network.hidden.parameters(), {"upgrad": UPGrad, "imtl": IMTLG}[variant]())


if __name__ == "__main__":
    torch.set_num_threads(1)
    name, variant, seed, folder, size = sys.argv[1:]
    problem = draw(name, folder, int(seed), size == "tiny")
    print(json.dumps(shared_bottom(problem, variant, int(seed), size == "tiny")))
