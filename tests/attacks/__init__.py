"""Hostile notebooks, and the promise that none of them gets a point it has not earned, a secret, or anyone else's time.

One file in ``cases`` is one attack. Its name is the family and a name, ``forging_equality.py``; its docstring says in a
sentence what it tries, then what must come of it, one ``key: value`` a line:

    mlp.linear_backward: wrong          an exercise's verdict; alternatives stand between bars (crashed | time limit)
    refused: is a link                  the file is not graded, and the reason holds these words
    shown: it ran                       the student sees this text: a proof that the attack took place
    absent: root:x:0                    the student never sees this text
    student: =1+1                       the name under which it is handed in (default: the file's), or b'bytes'
    assignment: 08_convolution          another assignment than the usual one

``parameters`` and ``momentum`` (``conv.parameters`` and ``conv.output_size``) are answered right unless the case
answers them itself; they must keep their points. Whatever else the docstring does not name must not be right.

Below come the cells, each after a line ``# %% KIND``:

    answer ID     the answer to an exercise, in the assignment's own cell
    check ID      what stands in place of its check cell
    text ID       the text for a person
    first, last   a further code cell, after the set-up cell or at the end
    markdown      a further Markdown cell at the end
    build         runs in the test, not in the sandbox: may change ``notebook`` (a dict; ``own(grade_id)`` finds a
                  cell), set ``data`` (the file's bytes), or define ``place(path)``, which puts something at the
                  submission's path; ``root`` is this repository's folder

``@MARK@``, ``@COURSE@`` and ``@PORT@`` stand for a word that must not turn up on the machine afterwards, the course's
folder, and a port on which the machine listens.

    python -m tests.attacks NAME                  grades cases by name and prints what comes of them
    DLCOURSE_ATTACKS=NAME pytest tests/attacks    runs the tests with the cases in whose names this is found
"""
