"""What a notebook needs so that its story can be read, run again and tested.

    from kmskit.notebook import check, refused, scratch, volatile

    kms = scratch()                          # a Kms to play with; nothing stays behind
    refused(lambda: key.decrypt(swapped))    # an expected failure, shown as a card; raises if nothing failed
    volatile(seconds)                        # a measured value: shown, and masked when outputs are compared

An exercise is three cells in this order, with nothing but markdown between the first two:

1. a code cell tagged `exercise`, in which `...` stands where the answer goes. Its metadata lists wrong answers, each
   the whole source of the cell, with a part of the reason that the check must give for it:

       {"tags": ["exercise"],
        "kmskit": {"wrong": [{"answer": "context_for = lambda row: {}", "reason": "still opens"}]}}

2. a code cell tagged `check`, whose last line is `check(answer, {reason: fault, ...})`.
3. a markdown cell with the solution, the whole source of the exercise cell, as a `python` fence inside `<details>`.

Cells tagged `exercise` run with `...`, and the check then shows "Not tried yet". `kmskit.testing.notebooks` puts each
wrong answer and then the solution into the running notebook, and fails unless the check refuses the wrong ones with
their reasons and accepts the solution. All tries share one kernel, as a student's do: a check judges each by itself.
"""

from __future__ import annotations

from kmskit.notebook.backend import scratch
from kmskit.notebook.clock import Clock
from kmskit.notebook.refusal import NotRefusedError, Refusal, refused
from kmskit.notebook.verdict import Verdict, check
from kmskit.notebook.volatile_value import Volatile, volatile

__all__ = ["Clock", "NotRefusedError", "Refusal", "Verdict", "Volatile", "check", "refused", "scratch", "volatile"]
