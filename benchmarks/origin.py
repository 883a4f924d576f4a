"""The origin's autoencoder here and in torch: same network, data, batches, epochs, Adam and rate.

Input -> Dense(32, relu) -> Dense(d, sigmoid), cross-entropy, 50 epochs of batches of 256. Each side
starts from its own initial weights; ours with the decoder's bias at the data's mean, as by default,
or at zero, as torch's. Prints the test cross-entropy per row and the ratio to torch's.
"""

import argparse

import numpy as np
from results import part
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split

from skmtl import SparseAutoencoderTransformer

N_SEEDS = 10
SETTINGS = {"width": 32, "epochs": 50, "batch_size": 256, "learning_rate": 1e-3}


def ours(X, X_test, seed, bias_init="mean"):
    """Test cross-entropy per row of our autoencoder."""
    sae = SparseAutoencoderTransformer(
        SETTINGS["width"],
        sparsifier=None,
        loss="log_loss",
        decoder_norm=None,
        batch_size=SETTINGS["batch_size"],
        max_iter=SETTINGS["epochs"],
        learning_rate=SETTINGS["learning_rate"],
        bias_init=bias_init,
        tol=None,
        random_state=seed,
    )
    return -sae.fit(X).score(X_test)


def torchs(X, X_test, seed):
    """Test cross-entropy per row of torch's."""
    import torch
    from torch import nn

    torch.manual_seed(seed)
    X, X_test = (torch.tensor(a, dtype=torch.float32) for a in (X, X_test))
    width, d = SETTINGS["width"], X.shape[1]
    network = nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, d))
    for layer in (network[0], network[2]):  # Keras' initial weights, those of the origin
        nn.init.xavier_uniform_(layer.weight)
        nn.init.zeros_(layer.bias)
    loss = nn.BCEWithLogitsLoss()
    optimizer = torch.optim.Adam(network.parameters(), lr=SETTINGS["learning_rate"])
    for _ in range(SETTINGS["epochs"]):
        for index in torch.randperm(len(X)).split(SETTINGS["batch_size"]):
            optimizer.zero_grad()
            loss(network(X[index]), X[index]).backward()
            optimizer.step()
    with torch.no_grad():
        return loss(network(X_test), X_test).item() * d


def one_seed(seed):
    """Test cross-entropies: ours, ours from a zero bias, and torch's."""
    X = (load_digits().data / 16).astype(np.float32)
    X_train, X_test = train_test_split(X, test_size=0.2, random_state=seed)
    return [
        ours(X_train, X_test, seed),
        ours(X_train, X_test, seed, bias_init="zero"),
        torchs(X_train, X_test, seed),
    ]


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--redo", action="store_true", help="run all seeds again")
    redo = parser.parse_args().redo
    values = np.array(
        [
            part("origin", f"{seed:02d}", SETTINGS, lambda seed=seed: one_seed(seed), redo)
            for seed in range(N_SEEDS)
        ]
    )
    print("test cross-entropy per row (digits, 64 features)")
    print(f"{'torch':22} {values[:, 2].mean():.3f}")
    for column, name in enumerate(["skmtl", "skmtl, bias from zero"]):
        ratio = values[:, column] / values[:, 2]
        print(
            f"{name:22} {values[:, column].mean():.3f}   ratio to torch: mean {ratio.mean():.3f}, "
            f"worst of {N_SEEDS} seeds {ratio.max():.3f}"
        )


if __name__ == "__main__":
    main()
