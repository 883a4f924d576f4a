"""The contract of a balancer."""

from skmtl._sklearn import Component


class Balancer(Component):
    """Combines the losses of the tasks into one.

    The weights reach the parameters that tasks share; each head takes its own gradient.
    """

    def init(self, n_tasks, priors):
        """State of the balancer: arrays by name.

        ``priors`` holds the shares of each task's classes, (n_classes,); None for no class.
        """
        return {}

    def balance(self, losses, counts, state, step):
        """Return the objective's value and the weight of each task, (n_tasks,).

        ``losses`` (n_tasks,), ``counts`` (n_tasks,) the labels of each task in the batch.
        """
        raise NotImplementedError
