"""Adam without torch's compiler."""

import inspect

import torch


class Adam(torch.optim.Adam):
    """`torch.optim.Adam`, step for step, in a process that compiles nothing.

    torch wraps these methods so that its compiler leaves them alone, and loads the compiler for that with the first
    optimiser: some seconds, in which nothing is compiled.
    """

    step = torch.no_grad()(inspect.unwrap(torch.optim.Adam.step))
    zero_grad = inspect.unwrap(torch.optim.Adam.zero_grad)
    add_param_group = inspect.unwrap(torch.optim.Adam.add_param_group)
    state_dict = inspect.unwrap(torch.optim.Adam.state_dict)
    load_state_dict = inspect.unwrap(torch.optim.Adam.load_state_dict)
