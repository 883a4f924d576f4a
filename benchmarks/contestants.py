"""Who takes part in ``speed.py``: each function prepares one contestant for one job.

It gets the job's settings and data and returns ``fit``: called once a run, it does the work that
is timed and returns a function that judges the result, or None. Same array, batch, epochs, rate
and number of threads for all; each in a process of its own that imports nothing else.

``python contestants.py JOB NAME FOLDER`` is such a process: it reads one line a run from its
input and answers with a line of JSON.
"""

import json
import os
import sys
import time
import warnings

import numpy as np

warnings.simplefilter("ignore")


# --- data ----------------------------------------------------------------------------------------


def images(settings, folder):
    """Rows in [0, 1]: scikit-learn's digits, or MNIST."""
    from sklearn.datasets import load_digits

    if settings["data"] == "digits":
        return (load_digits().data / 16).astype(np.float32)
    return (loaded("mnist", folder).X[: settings["rows"]] / 255).astype(np.float32)


def atoms_and_codes(settings, folder=None):
    """m/2 random unit atoms, k/2 of them drawn in each row with weights in [.5, 1.5]."""
    rng = np.random.default_rng(0)
    m, d, n, k = (settings[name] for name in ("latents", "features", "rows", "k"))
    atoms = rng.standard_normal((m // 2, d), dtype=np.float32)
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    drawn = rng.integers(0, m // 2, (n, k // 2))
    weights = rng.uniform(0.5, 1.5, drawn.shape).astype(np.float32)
    X = np.zeros((n, d), dtype=np.float32)
    for j in range(k // 2):
        X += weights[:, [j]] * atoms[drawn[:, j]]
    return X


def loaded(name, folder):
    """One of the data sets of the folder with ``load.py``."""
    sys.path.insert(0, folder)
    from load import load

    return load(name)


def tasks(settings, folder):
    """X, dense or CSR, and labels with NaN for a gap."""
    data = loaded(settings["data"], folder)
    X = data.X
    if not hasattr(X, "toarray"):
        X = (X - X.mean(axis=0)) / np.where(X.std(axis=0) > 0, X.std(axis=0), 1)
        X = X.astype(np.float32)
    return X, data.Y.astype(float)


def fvu(X, recon):
    """Share of the variance that a reconstruction leaves unexplained."""
    return float(((X - recon) ** 2).sum() / ((X - X.mean(axis=0)) ** 2).sum())


# --- skmtl ---------------------------------------------------------------------------------------


def skmtl_autoencoder(settings, folder):
    from skmtl import SparseAutoencoderTransformer

    X = images(settings, folder)

    def fit():
        SparseAutoencoderTransformer(
            settings["latents"],
            sparsifier=None,
            loss=settings["loss"],
            decoder_norm=None,
            batch_size=settings["batch"],
            max_iter=settings["epochs"],
            tol=None,
            random_state=0,
        ).fit(X)

    return fit


def skmtl_topk(settings, folder, search_every=1):
    from skmtl import SparseAutoencoderTransformer
    from skmtl.sparsifiers import TopK

    X = atoms_and_codes(settings)

    def fit():
        sae = SparseAutoencoderTransformer(
            settings["latents"],
            sparsifier=TopK(settings["k"], search_every),
            batch_size=settings["batch"],
            max_iter=settings["epochs"],
            tol=None,
            random_state=0,
            n_jobs=settings["threads"],
        ).fit(X)
        return lambda: fvu(X, sae.inverse_transform(sae.transform(X)))

    return fit


def skmtl_topk_search_every_4(settings, folder):
    return skmtl_topk(settings, folder, search_every=4)


def skmtl_tasks(settings, folder, **options):
    """The network of the torch contestant; other options make it another."""
    from skmtl import MultiTaskSAEClassifier

    X, Y = tasks(settings, folder)
    options = options or {"sparsifier": None, "reconstruction_weight": 0.0}

    def fit():
        MultiTaskSAEClassifier(
            settings["latents"],
            batch_size=settings["batch"],
            max_iter=settings["epochs"],
            tol=None,
            random_state=0,
            **options,
        ).fit(X, Y)

    return fit


def skmtl_default(settings, folder):
    """With what the torch network lacks: a sparse code that also reconstructs."""
    return skmtl_tasks(settings, folder, sparsifier="auto")


def skmtl_transform(settings, folder, sparse=True):
    from skmtl import SparseAutoencoderTransformer
    from skmtl.sparsifiers import TopK

    X = atoms_and_codes(settings)
    sae = SparseAutoencoderTransformer(
        settings["latents"],
        sparsifier=TopK(settings["k"]),
        max_iter=1,
        tol=None,
        sparse_output=sparse,
        random_state=0,
    ).fit(X[:1000])
    return lambda: sae.transform(X) is None


def skmtl_transform_dense(settings, folder):
    return skmtl_transform(settings, folder, sparse=False)


def skmtl_one_row(settings, folder):
    from skmtl import MultiTaskSAEClassifier

    X, y = digits()
    return repeated(MultiTaskSAEClassifier(settings["latents"], max_iter=5, tol=None), X, y)


def skmtl_search(settings, folder):
    from skmtl import MultiTaskSAEClassifier

    model = MultiTaskSAEClassifier(
        settings["latents"],
        sparsifier=None,
        reconstruction_weight=0.0,
        batch_size=settings["batch"],
        max_iter=settings["epochs"],
        tol=None,
    )
    return searched(model, {"learning_rate": RATES, "weight_decay": DECAYS})


# --- scikit-learn --------------------------------------------------------------------------------

RATES, DECAYS = [1e-3, 2e-3, 4e-3, 8e-3], [0.0, 1e-4]


def mlp(cls, settings, **more):
    return cls(
        hidden_layer_sizes=(settings["latents"],),
        batch_size=settings["batch"],
        max_iter=settings["epochs"],
        n_iter_no_change=10**6,
        random_state=0,
        **more,
    )


def sklearn_autoencoder(settings, folder):
    from sklearn.neural_network import MLPRegressor

    X = images(settings, folder)
    return lambda: mlp(MLPRegressor, settings, alpha=0).fit(X, X) is None


def sklearn_tasks(settings, folder):
    from sklearn.neural_network import MLPClassifier

    X, Y = tasks(settings, folder)

    def fit():
        for y in Y.T:
            known = ~np.isnan(y)
            mlp(MLPClassifier, settings, alpha=0).fit(X[known], y[known].astype(int))

    return fit


def sklearn_one_row(settings, folder):
    from sklearn.neural_network import MLPClassifier

    return repeated(MLPClassifier((settings["latents"],), max_iter=5), *digits())


def sklearn_search(settings, folder):
    from sklearn.neural_network import MLPClassifier

    return searched(mlp(MLPClassifier, settings), {"learning_rate_init": RATES, "alpha": DECAYS})


def digits():
    from sklearn.datasets import load_digits

    X, y = load_digits(return_X_y=True)
    return X.astype(np.float32) / 16, y


def repeated(model, X, y):
    """2000 predictions of one row."""
    model.fit(X, y)

    def predict():
        for i in range(2000):
            model.predict(X[i % 1000 : i % 1000 + 1])

    return predict


def searched(model, grid):
    from sklearn.model_selection import GridSearchCV

    X, y = digits()
    return lambda: GridSearchCV(model, grid, cv=3, n_jobs=2, refit=False).fit(X, y) is None


# --- torch and Keras -----------------------------------------------------------------------------


def torch_batches(X, settings):
    """Shuffled batches of all epochs."""
    import torch

    generator = torch.Generator().manual_seed(0)
    for _ in range(settings["epochs"]):
        yield from torch.randperm(X.shape[0], generator=generator).split(settings["batch"])


def torch_autoencoder(settings, folder):
    import torch
    from torch import nn

    X = torch.from_numpy(images(settings, folder))
    d, width = X.shape[1], settings["latents"]
    losses = {"log_loss": nn.BCEWithLogitsLoss(), "squared_error": nn.MSELoss()}

    def fit():
        network = nn.Sequential(nn.Linear(d, width), nn.ReLU(), nn.Linear(width, d))
        optimizer = torch.optim.Adam(network.parameters(), lr=1e-3)
        for index in torch_batches(X, settings):
            batch = X[index]
            optimizer.zero_grad()
            losses[settings["loss"]](network(batch), batch).backward()
            optimizer.step()

    return fit


def keras_autoencoder(settings, folder):
    os.environ["KERAS_BACKEND"] = "tensorflow"
    import tensorflow as tf

    tf.config.threading.set_intra_op_parallelism_threads(settings["threads"])
    tf.config.threading.set_inter_op_parallelism_threads(settings["threads"])
    import keras

    X = images(settings, folder)
    loss, last = {
        "log_loss": ("binary_crossentropy", "sigmoid"),
        "squared_error": ("mse", "linear"),
    }[settings["loss"]]

    def fit():
        model = keras.Sequential(
            [
                keras.layers.Dense(settings["latents"], activation="relu"),
                keras.layers.Dense(X.shape[1], activation=last),
            ]
        )
        model.compile(optimizer="adam", loss=loss)
        model.fit(X, X, batch_size=settings["batch"], epochs=settings["epochs"], verbose=0)

    return fit


def torch_topk(settings, folder):
    """Plain torch: dense codes by scatter, unit atoms, as in the peers."""
    import torch

    X = torch.from_numpy(atoms_and_codes(settings))
    d, m, k = X.shape[1], settings["latents"], settings["k"]

    def fit():
        torch.manual_seed(0)
        W_dec = torch.nn.functional.normalize(torch.randn(m, d), dim=1)
        W_enc, b_enc, b_dec = W_dec.clone(), torch.zeros(m), X.mean(0)
        params = [p.requires_grad_() for p in (W_enc, b_enc, W_dec, b_dec)]
        optimizer = torch.optim.Adam(params, lr=1e-3)

        def reconstructed(batch):
            pre = torch.relu((batch - b_dec) @ W_enc.T + b_enc)
            top = pre.topk(k, dim=1)
            return torch.zeros_like(pre).scatter(1, top.indices, top.values) @ W_dec + b_dec

        for index in torch_batches(X, settings):
            batch = X[index]
            optimizer.zero_grad()
            ((reconstructed(batch) - batch) ** 2).sum(dim=1).mean().backward()
            with torch.no_grad():
                W_dec.grad -= (W_dec.grad * W_dec).sum(dim=1, keepdim=True) * W_dec
            optimizer.step()
            with torch.no_grad():
                W_dec /= W_dec.norm(dim=1, keepdim=True)

        def judge():
            with torch.no_grad():
                return fvu(X.numpy(), np.concatenate([reconstructed(x) for x in X.split(1024)]))

        return judge

    return fit


def torch_tasks(settings, folder, sparse=False):
    """Shared bottom: one hidden layer for all tasks, a logit each, masked cross-entropy."""
    import torch
    from torch import nn

    X, Y = tasks(settings, folder)
    is_sparse = hasattr(X, "toarray")
    n_tasks, d = Y.shape[1], X.shape[1]
    if is_sparse and not sparse:
        X = X.toarray()
    if not sparse:
        X = torch.from_numpy(X)
    known = torch.from_numpy((~np.isnan(Y)).astype(np.float32))
    Y = torch.from_numpy(np.nan_to_num(Y).astype(np.float32))
    loss = nn.BCEWithLogitsLoss(reduction="none")

    def rows(index):
        if not sparse:
            return X[index]
        part = X[index.numpy()]
        return torch.sparse_csr_tensor(
            torch.from_numpy(part.indptr.astype(np.int64)),
            torch.from_numpy(part.indices.astype(np.int64)),
            torch.from_numpy(part.data),
            size=part.shape,
        )

    def fit():
        hidden, heads = nn.Linear(d, settings["latents"]), nn.Linear(settings["latents"], n_tasks)
        params = [*hidden.parameters(), *heads.parameters()]
        optimizer = torch.optim.Adam(params, lr=1e-3)
        for index in torch_batches(X, settings):
            optimizer.zero_grad()
            batch = rows(index)
            if sparse:
                code = torch.relu(torch.sparse.mm(batch, hidden.weight.T) + hidden.bias)
            else:
                code = torch.relu(hidden(batch))
            masked = loss(heads(code), Y[index]) * known[index]
            (masked.sum(0) / known[index].sum(0).clamp(1)).sum().backward()
            optimizer.step()

    return fit


def torch_tasks_sparse(settings, folder):
    return torch_tasks(settings, folder, sparse=True)


# --- sparse autoencoder libraries ----------------------------------------------------------------
# No auxiliary loss for dead latents is active on any side: sparsify's is off by default, the others
# need more steps than these before a latent counts as dead.


def endless(X, settings):
    """Batches without end, as these libraries want them."""
    import torch

    generator = torch.Generator().manual_seed(0)
    while True:
        for index in torch.randperm(len(X), generator=generator).split(settings["batch"]):
            if len(index) == settings["batch"]:
                yield X[index]


def n_steps(X, settings):
    return settings["epochs"] * (len(X) // settings["batch"])


def sparsify_sae(settings):
    from sparsify import SparseCoder, SparseCoderConfig

    config = SparseCoderConfig(num_latents=settings["latents"], k=settings["k"])
    import torch

    return SparseCoder(settings["features"], config, device="cpu", dtype=torch.float32)


def sparsify_topk(settings, folder):
    import torch

    X = torch.from_numpy(atoms_and_codes(settings))

    def fit():
        torch.manual_seed(0)
        sae = sparsify_sae(settings)
        optimizer = torch.optim.Adam(sae.parameters(), lr=1e-3)
        sae.b_dec.data = X[: settings["batch"]].mean(0).clone()
        for _, x in zip(range(n_steps(X, settings)), endless(X, settings), strict=False):
            sae.set_decoder_norm_to_unit_norm()
            sae(x).fvu.backward()
            sae.remove_gradient_parallel_to_decoder_directions()
            optimizer.step()
            optimizer.zero_grad()

        def judge():
            with torch.no_grad():
                return fvu(X.numpy(), np.concatenate([sae(x).sae_out for x in X.split(1024)]))

        return judge

    return fit


def saelens_sae(settings):
    from sae_lens import TopKTrainingSAE, TopKTrainingSAEConfig

    return TopKTrainingSAE(
        TopKTrainingSAEConfig(
            d_in=settings["features"], d_sae=settings["latents"], k=settings["k"], device="cpu"
        )
    )


def saelens_topk(settings, folder):
    import torch
    from sae_lens import SAETrainer
    from sae_lens.config import SAETrainerConfig

    X = torch.from_numpy(atoms_and_codes(settings))

    def fit():
        torch.manual_seed(0)
        sae = saelens_sae(settings)
        config = SAETrainerConfig(
            total_training_samples=n_steps(X, settings) * settings["batch"],
            train_batch_size_samples=settings["batch"],
            lr=1e-3,
            lr_end=1e-4,
            device="cpu",
        )
        SAETrainer(cfg=config, sae=sae, data_provider=endless(X, settings)).fit()

        def judge():
            with torch.no_grad():
                parts = [sae.decode(sae.encode(x)) for x in X.split(1024)]
                return fvu(X.numpy(), np.concatenate(parts))

        return judge

    return fit


def dictionary_learning_topk(settings, folder):
    import torch
    from dictionary_learning.trainers.top_k import AutoEncoderTopK, TopKTrainer
    from dictionary_learning.training import trainSAE

    X = torch.from_numpy(atoms_and_codes(settings))

    def fit():
        made = []

        class Keep(TopKTrainer):
            def __init__(self, **options):
                super().__init__(**options)
                made.append(self)

        steps = n_steps(X, settings)
        config = {
            "trainer": Keep,
            "dict_class": AutoEncoderTopK,
            "activation_dim": settings["features"],
            "dict_size": settings["latents"],
            "k": settings["k"],
            "lr": 1e-3,
            "steps": steps,
            "warmup_steps": 0,
            "threshold_start_step": 0,
            "layer": 0,
            "lm_name": "none",
            "device": "cpu",
            "seed": 0,
        }
        trainSAE(data=endless(X, settings), steps=steps, device="cpu", trainer_configs=[config])

        def judge():
            with torch.no_grad():
                return fvu(X.numpy(), np.concatenate([made[0].ae(x) for x in X.split(1024)]))

        return judge

    return fit


def encoded(encode):
    """A run of an encoder over X in blocks."""

    def prepare(settings, folder):
        import torch

        X = torch.from_numpy(atoms_and_codes(settings))
        run = encode(settings)

        def fit():
            with torch.no_grad():
                for x in X.split(1024):
                    run(x)

        return fit

    return prepare


def torch_encode(settings):
    import torch

    W, b = torch.randn(settings["latents"], settings["features"]), torch.zeros(settings["latents"])
    return lambda x: torch.relu(x @ W.T + b).topk(settings["k"], dim=1)


sparsify_encode = encoded(lambda settings: sparsify_sae(settings).encode)
saelens_encode = encoded(lambda settings: saelens_sae(settings).encode)
torch_plain_encode = encoded(torch_encode)


def product(settings, folder):
    """The encoder's dense product alone, as many times as a fit or a transform needs it."""
    rng = np.random.default_rng(0)
    n, d, m, batch = (settings[name] for name in ("rows", "features", "latents", "batch"))
    X = rng.standard_normal((batch, d), dtype=np.float32)
    W = rng.standard_normal((m, d), dtype=np.float32)
    out = np.empty((batch, m), dtype=np.float32)

    def run():
        for _ in range(settings.get("epochs", 1) * (n // batch)):
            np.dot(X, W.T, out=out)

    return run


def serve(job, name, folder):
    """Answer each line of the input with the seconds, and the quality, of one run."""
    from speed import JOBS

    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what a library prints must not be taken for an answer
    settings = JOBS[job]["settings"]
    fit = globals()[name](settings, folder)
    if any(part in name for part in ("torch", "saelens", "sparsify", "dictionary")):
        import torch

        torch.set_num_threads(settings["threads"])
    for _ in sys.stdin:
        start = time.perf_counter()
        judge = fit()
        seconds = time.perf_counter() - start
        quality = judge() if callable(judge) else None
        print(json.dumps({"seconds": seconds, "quality": quality}), file=answers, flush=True)


if __name__ == "__main__":
    serve(*sys.argv[1:])
