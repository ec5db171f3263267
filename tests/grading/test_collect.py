"""What is found in a folder of submissions, and what is read of it."""

from __future__ import annotations

import os
import socket
import stat

import pytest

from dlcourse.grading import collect
from dlcourse.grading.collect import Found, find, read, student_id
from dlcourse.grading.course import CourseError
from dlcourse.grading.limits import Limits
from dlcourse.grading.submission import Refused
from dlcourse.grading.table import Row, table_csv, table_text

NAME = "08_convolution"


def hand_in(folder, student: str, content: str = "{}", name: str = f"{NAME}.ipynb"):
    path = folder / student / NAME / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content)
    return path


def test_both_layouts_are_found_and_other_things_are_not(tmp_path):
    nested = hand_in(tmp_path, "ada")
    other = hand_in(tmp_path, "bob", name="my work.ipynb")
    for name in ("cat.ipynb", f"dan_{NAME}.ipynb", f"eve - {NAME}.ipynb", ".hidden.ipynb", "README.md", "notes"):
        (tmp_path / name).write_text("{}")
    (tmp_path / "nothing-handed-in").mkdir()
    assert find(tmp_path, NAME) == [
        Found("ada", nested),
        Found("bob", other),
        Found("cat", tmp_path / "cat.ipynb"),
        Found("dan", tmp_path / f"dan_{NAME}.ipynb"),
        Found("eve", tmp_path / f"eve - {NAME}.ipynb"),
    ]
    assert find(tmp_path, NAME, flat=False) == [Found("ada", nested), Found("bob", other)]


def problems(folder) -> dict[str, str]:
    found = find(folder, NAME)
    assert all(entry.path is None for entry in found)
    return {entry.student: entry.problem for entry in found}


def test_everything_that_is_no_submission_has_a_row_with_the_reason(tmp_path):
    outside = tmp_path / "outside"
    hand_in(outside, "ada")
    folder = tmp_path / "submitted"
    folder.mkdir()
    (folder / "link.ipynb").symlink_to(outside / "ada" / NAME / f"{NAME}.ipynb")
    (folder / "linked-student").symlink_to(outside / "ada")
    (folder / "dangling").symlink_to("nowhere")
    (folder / "linked-folder").mkdir()
    (folder / "linked-folder" / NAME).symlink_to(outside / "ada" / NAME)
    (folder / "linked-file" / NAME).mkdir(parents=True)
    (folder / "linked-file" / NAME / f"{NAME}.ipynb").symlink_to("/etc/passwd")
    os.mkfifo(folder / "pipe.ipynb")
    os.mkfifo(folder / "pipe")
    (folder / "pipe-in-folder").mkdir()
    os.mkfifo(folder / "pipe-in-folder" / NAME)
    (folder / "a-folder.ipynb").mkdir()
    (folder / "zipped.zip").write_bytes(b"PK")
    (folder / f"packed_{NAME}.tar.gz").write_bytes(b"")
    hand_in(folder, "zipped-in-folder", name="work.ZIP")
    hand_in(folder, "two", name="one.ipynb")
    hand_in(folder, "two", name="two.ipynb")
    (folder / "none" / NAME).mkdir(parents=True)
    with socket.socket(socket.AF_UNIX) as listening:
        listening.bind(str(folder / "socket.ipynb"))
    assert problems(folder) == {
        "link": "link.ipynb is a link; hand in the file itself",
        "linked-student": "linked-student is a link; hand in the folder itself",
        "dangling": "dangling is a link; hand in the folder itself",
        "linked-folder": f"{NAME} is a link; hand in the folder itself",
        "linked-file": f"{NAME}.ipynb is a link; hand in the file itself",
        "pipe": "pipe stands 2 times in the folder: keep the one that counts",
        "pipe-in-folder": f"{NAME} is a named pipe, not a folder with a notebook",
        "a-folder": "a-folder.ipynb is a folder, not a plain file",
        "zipped": "zipped.zip is an archive; hand in the notebook itself",
        "packed": f"packed_{NAME}.tar.gz is an archive; hand in the notebook itself",
        "zipped-in-folder": "work.ZIP is an archive; hand in the notebook itself",
        "two": f"the folder holds 2 notebooks, none of them named {NAME}.ipynb",
        "none": f"the folder holds no notebook {NAME}.ipynb",
        "socket": "socket.ipynb is a socket, not a plain file",
    }


@pytest.mark.skipif(os.getuid() != 0, reason="only root can make a device")
def test_a_device_is_neither_found_nor_read(tmp_path):
    path = hand_in(tmp_path, "ada")
    path.unlink()
    os.mknod(path, stat.S_IFCHR | 0o666, os.makedev(1, 5))  # /dev/zero
    assert problems(tmp_path) == {"ada": f"{NAME}.ipynb is a device, not a plain file"}
    with pytest.raises(Refused, match="is a device"):
        read(Found("ada", path), Limits())


def test_what_replaces_a_file_after_it_was_found_is_not_read(tmp_path):
    path = hand_in(tmp_path, "ada")
    (found,) = find(tmp_path, NAME)
    assert read(found, Limits()) == b"{}"
    for replace, said in [
        (lambda: path.symlink_to("/etc/passwd"), "cannot be read: Too many levels of symbolic links"),
        (lambda: os.mkfifo(path), "is a named pipe"),
        (path.mkdir, "cannot be read: Is a directory|is a folder"),
        (lambda: None, "cannot be read: No such file"),
    ]:
        path.rmdir() if path.is_dir() and not path.is_symlink() else path.unlink(missing_ok=True)
        replace()
        with pytest.raises(Refused, match=said):
            read(found, Limits())


def test_a_large_file_is_not_read(tmp_path):
    path = hand_in(tmp_path, "ada", "x" * 1000)
    with pytest.raises(Refused, match="at most"):
        read(Found("ada", path), Limits(notebook_bytes=999))
    assert len(read(Found("ada", path), Limits(notebook_bytes=1000))) == 1000


NAMES = [
    *(b"ada", b"a\nb", b"\xff\xfe", b"\x1b[31mred", b"a" * 250, b"[a-z]*", b"a'b\"c", b"{student_id}", b"=1+1", b"%2e"),
    *(name.encode() for name in ("Zoë", "\u202eevil", "名" * 80, "\U0001f600" * 60 + "\x01" * 14)),
]


def test_any_name_is_a_students_and_no_two_are_the_same(tmp_path):
    for name in NAMES:
        path = os.fsencode(tmp_path) + b"/" + name + b"/" + NAME.encode()
        os.makedirs(path)
        with open(path + b"/" + NAME.encode() + b".ipynb", "wb") as file:
            file.write(name)
    found = find(tmp_path, NAME)
    assert len({entry.student for entry in found}) == len(NAMES)
    assert {read(entry, Limits()) for entry in found} == set(NAMES)
    for entry in found:
        assert entry.student.isprintable() and len(entry.student) <= 128
        assert len(entry.student.encode()) <= 200
        assert student_id(entry.student) == entry.student
        (tmp_path / "made" / entry.student).mkdir(parents=True)
    assert student_id("ada") == "ada" and student_id("a\nb") == "a\\nb"


def test_a_folder_without_submissions_is_one_sentence(tmp_path):
    with pytest.raises(CourseError, match="is not there"):
        find(tmp_path / "nowhere", NAME)
    with pytest.raises(CourseError, match=f"holds no submission of {NAME}: expected <student>/"):
        find(tmp_path, NAME)


def test_a_students_words_are_no_formula_and_no_terminal_code(assignment):
    row = Row("the \x1b[31mfile", ("note",))
    for name in ("=1+1", "+1", "-1", "@x", "\t=1", " =1", "＝1"):
        line = table_csv(assignment, [(name, row)]).splitlines()[1]
        assert line.startswith((f"'{name},", f'"\'{name}",'))
    assert table_csv(assignment, [("ada", Row())]).splitlines()[1].startswith("ada,")
    assert "\x1b" not in table_text(assignment, [("\x1b[2J", row)])
    assert collect.printable("a\u202eb\ud800") == "a\\u202eb\\ud800"
