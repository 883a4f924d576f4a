"""The peers' own trainers, for ``sparsifiers.py``, each after its library's documentation.

A contestant gets the array and a task and returns ``fit``: what is timed. ``fit`` trains by the
library's own loop (sparsify's needs a language model, so its steps are repeated here) and returns
a ``Trained``. All see the same batches in the same order.

Defaults are the libraries' own, with these exceptions: warm-ups and windows that are counts of
steps or rows, made for runs of a hundred times the length, are fractions of the fit here; b_dec of
each starts as its library starts it. "revived" are those with the library's loss for dead latents
switched on, where a latent counts as dead after an epoch without firing; "signum" is sparsify's
default optimizer at its default rate.
"""

import sys
from collections.abc import Callable
from types import ModuleType
from typing import NamedTuple

import numpy as np


class Trained(NamedTuple):
    """What a contestant learnt: functions of NumPy arrays, and the atoms as rows."""

    encode: Callable  # rows -> dense codes, at inference: each row by itself
    decode: Callable  # codes -> rows
    atoms: np.ndarray


def trained(encode, decode, atoms):
    """The same from functions of tensors."""
    import torch

    def of_arrays(function):
        def run(rows):
            with torch.no_grad():
                return function(torch.from_numpy(rows)).numpy()

        return run

    return Trained(of_arrays(encode), of_arrays(decode), atoms.detach().numpy())


def batches(X, task):
    """Shuffled batches without end."""
    import torch

    generator = torch.Generator().manual_seed(task.seed)
    while True:
        for index in torch.randperm(len(X), generator=generator).split(task.batch):
            if len(index) == task.batch:
                yield X[index]


class Batches:
    """The same from the beginning whenever they are iterated over."""

    def __init__(self, X, task):
        self.X, self.task = X, task

    def __iter__(self):
        return batches(self.X, self.task)


def prefixes(latents):
    """Widths of the nested dictionaries: groups of 1/16, 1/16, 1/8, 1/4 and 1/2."""
    return [latents // 16, latents // 8, latents // 4, latents // 2, latents]


def saelens(X, task):
    import sae_lens
    import torch
    from sae_lens.config import SAETrainerConfig

    X, k, warm_up = torch.from_numpy(X), task.value, task.steps // 20
    name, options = {
        "topk": ("TopK", {"k": k}),
        "batch_topk": ("BatchTopK", {"k": k}),
        "matryoshka": (
            "MatryoshkaBatchTopK",
            {"k": k, "matryoshka_widths": prefixes(task.latents)},
        ),
        "jumprelu": (
            "JumpReLU",
            {
                "jumprelu_sparsity_loss_mode": "quadratic",
                "target_l0": k,
                "l0_warm_up_steps": warm_up,
            },
        ),
        "gated": ("Gated", {"l1_coefficient": k, "l1_warm_up_steps": warm_up}),
        "l1": ("Standard", {"l1_coefficient": k, "l1_warm_up_steps": warm_up}),
    }[task.mechanism]
    SAE = getattr(sae_lens, f"{name}TrainingSAE")
    SAEConfig = getattr(sae_lens, f"{name}TrainingSAEConfig")

    def fit():
        torch.manual_seed(task.seed)
        sae = SAE(SAEConfig(d_in=X.shape[1], d_sae=task.latents, device="cpu", **options))
        config = SAETrainerConfig(
            total_training_samples=task.steps * task.batch,
            train_batch_size_samples=task.batch,
            lr=task.rate,
            lr_end=task.rate / 10,  # required, without effect on the constant schedule
            dead_feature_window=len(X) // task.batch if "revived" in task.variants else 1000,
            device="cpu",
        )
        sae_lens.SAETrainer(cfg=config, sae=sae, data_provider=batches(X, task)).fit()

        def encode(rows):
            if not hasattr(sae, "topk_threshold"):
                return sae.encode(rows)
            # As in the JumpReLU model that the library saves of these.
            pre = sae.encode_with_hidden_pre(rows)[1]
            return pre * (pre > sae.topk_threshold)

        return trained(encode, sae.decode, sae.W_dec)

    return fit


def sparsify(X, task):
    import torch
    from sparsify import SparseCoder, SparseCoderConfig
    from sparsify.sign_sgd import SignSGD

    X = torch.from_numpy(X)
    d, m = X.shape[1], task.latents

    def fit():
        torch.manual_seed(task.seed)
        sae = SparseCoder(d, SparseCoderConfig(num_latents=m, k=task.value), dtype=torch.float32)
        signum = "signum" in task.variants
        if signum:  # the library's default optimizer, at its default rate
            from schedulefree import ScheduleFreeWrapper

            rate = 5e-3 / (m / 2**14) ** 0.5
            optimizer = ScheduleFreeWrapper(SignSGD(sae.parameters(), lr=rate), momentum=0.95)
            optimizer.train()
        else:
            optimizer = torch.optim.Adam(sae.parameters(), lr=task.rate)
        idle = torch.zeros(m, dtype=torch.long)
        for step, x in zip(range(task.steps), batches(X, task), strict=False):
            if step == 0:
                sae.b_dec.data = x.mean(0)
            sae.set_decoder_norm_to_unit_norm()
            out = sae(x, dead_mask=idle > len(X) if "revived" in task.variants else None)
            (out.fvu + out.auxk_loss / 32).backward()
            sae.remove_gradient_parallel_to_decoder_directions()
            optimizer.step()
            optimizer.zero_grad()
            idle += len(x)
            idle[out.latent_indices.flatten()] = 0
        if signum:
            optimizer.eval()

        def encode(rows):
            best = sae.encode(rows)
            return torch.zeros(len(rows), m).scatter(1, best.top_indices, best.top_acts)

        return trained(encode, lambda code: code @ sae.W_dec + sae.b_dec, sae.W_dec)

    return fit


def dictionary_learning(X, task):
    import torch
    from dictionary_learning.trainers import batch_top_k, gdm, jumprelu, standard, top_k
    from dictionary_learning.trainers import matryoshka_batch_top_k as matryoshka
    from dictionary_learning.training import trainSAE

    X, k = torch.from_numpy(X), task.value
    # The thresholds' running averages start at step 1000 and forget 1/1000 a step by default.
    threshold = {"threshold_start_step": task.steps // 10, "threshold_beta": 0.99}
    warm_up = {"sparsity_warmup_steps": task.steps // 20}
    widths = np.diff(prefixes(16), prepend=0) / 16
    trainer, options = {
        "topk": (top_k.TopKTrainer, {"k": k, **threshold}),
        "batch_topk": (batch_top_k.BatchTopKTrainer, {"k": k, **threshold}),
        "matryoshka": (
            matryoshka.MatryoshkaBatchTopKTrainer,
            {"k": k, "group_fractions": widths.tolist(), **threshold},
        ),
        "jumprelu": (jumprelu.JumpReluTrainer, {"target_l0": k, **warm_up}),
        "gated": (gdm.GatedSAETrainer, {"l1_penalty": k, **warm_up}),
        "l1": (standard.StandardTrainer, {"l1_penalty": k, **warm_up}),
        "l1_by_norm": (standard.StandardTrainerAprilUpdate, {"l1_penalty": k, **warm_up}),
    }[task.mechanism]

    def fit():
        made = []

        class Keep(trainer):
            def __init__(self, **options):
                super().__init__(**options)
                if "revived" in task.variants:
                    self.dead_feature_threshold = len(X)
                made.append(self)

        torch.manual_seed(task.seed)
        config = {
            "trainer": Keep,
            "activation_dim": X.shape[1],
            "dict_size": task.latents,
            "lr": task.rate,
            "steps": task.steps,
            "warmup_steps": 0,
            "layer": 0,
            "lm_name": "none",
            "device": "cpu",
            "seed": task.seed,
            **options,
        }
        trainSAE(
            data=Batches(X, task),
            steps=task.steps,
            device="cpu",
            trainer_configs=[config],
            # What its documentation asks for where a penalty's weight is to carry over.
            normalize_activations=task.mechanism == "jumprelu",
        )
        ae = made[0].ae
        atoms = ae.W_dec if hasattr(ae, "W_dec") else ae.decoder.weight.T
        return trained(ae.encode, ae.decode, atoms)

    return fit


def overcomplete(X, task):
    import torch

    for name in ("models", "visualization"):  # they need torchvision, timm, cv2 and an old pyplot
        sys.modules[f"overcomplete.{name}"] = Anything(name)
    from overcomplete import sae as library
    from overcomplete.sae import losses

    X = torch.from_numpy(X)
    d, m, k = X.shape[1], task.latents, task.value

    def squared_error(x, recon, *_):
        return (x - recon).square().mean()

    def fit():
        torch.manual_seed(task.seed)
        sae, criterion = {
            "topk": lambda: (library.TopKSAE(d, m, top_k=k), squared_error),
            # Its top_k counts what the whole batch keeps.
            "batch_topk": lambda: (library.BatchTopKSAE(d, m, top_k=k * task.batch), squared_error),
            # Its errors are means over features, its penalties sums over the batch.
            "l1": lambda: (
                library.SAE(d, m),
                lambda *of: losses.mse_l1(*of, penalty=k / (d * task.batch)),
            ),
        }[task.mechanism]()
        if "revived" in task.variants:
            criterion = losses.top_k_auxiliary_loss
        optimizer = torch.optim.Adam(sae.parameters(), lr=task.rate)
        loader = (x for _, x in zip(range(task.steps), batches(X, task), strict=False))
        library.train_sae(sae, loader, criterion, optimizer, nb_epochs=1, monitoring=0)
        sae.eval()
        return trained(lambda rows: sae.encode(rows)[1], sae.decode, sae.get_dictionary())

    return fit


class Anything(ModuleType):
    """A module from which any name can be imported."""

    def __getattr__(self, name):
        return None


def sklearn(X, task):
    from sklearn.decomposition import MiniBatchDictionaryLearning

    # By default it stops as soon as batches stop helping: here after about two epochs.
    to_the_end = {} if "stopping" in task.variants else {"tol": 0, "max_no_improvement": None}

    def fit():
        model = MiniBatchDictionaryLearning(
            task.latents,
            alpha=0.1,
            fit_algorithm="cd",
            transform_algorithm="omp",
            transform_n_nonzero_coefs=task.value,
            batch_size=task.batch,
            max_iter=task.epochs,
            random_state=task.seed,
            **to_the_end,
        ).fit(X)
        return Trained(model.transform, lambda code: code @ model.components_, model.components_)

    return fit
