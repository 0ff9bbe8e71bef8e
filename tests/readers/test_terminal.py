"""What a run shows on a terminal, in a real one: a line that fits, and of which nothing stays after the run, Ctrl-C or an error."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios
import time

import pytest


@pytest.fixture(scope="module")
def sources(tmp_path_factory):
    """So much text that lines are drawn before it is masked; the last line of one of the two is no record."""
    folder = tmp_path_factory.mktemp("sources")
    lines = "".join(json.dumps({"text": f"some words {number} " * 300}) + "\n" for number in range(12_000))
    for name, end in (("good", ""), ("bad", "not JSON\n")):
        (folder / name).mkdir()
        (folder / name / "a.jsonl").write_text(lines + end)
    return folder


def on_a_terminal(command, columns, interrupts):
    """What the command writes to a terminal of so many columns, and its exit code. So many Ctrl-C come after the first line."""
    pid, terminal = pty.fork()
    if pid == 0:
        # The size has to be known before the first line is drawn.
        fcntl.ioctl(0, termios.TIOCSWINSZ, struct.pack("HHHH", 24, columns, 0, 0))
        os.execv(command[0], command)
    out = b""
    while True:
        try:
            read = os.read(terminal, 1 << 16)
        except OSError:
            break
        if not read:
            break
        out += read
        while interrupts and b"%" in out:
            os.kill(pid, signal.SIGINT)
            interrupts -= 1
            time.sleep(0.01)
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return out.decode(), os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("columns, ending", [(80, "done"), (80, "interrupted"), (80, "failed"), (40, "done"), (12, "interrupted")])
def test_the_line_fits_and_nothing_of_it_stays(tool, sources, tmp_path, columns, ending):
    source = sources / ("bad" if ending == "failed" else "good")
    options = ["--max-rejects", "0", "--workers", "1"]
    command = [str(tool), "run", str(source), "--out", str(tmp_path / "out"), *options]
    out, code = on_a_terminal(command, columns, 1 if ending == "interrupted" else 0)
    assert code == {"done": 0, "interrupted": 130, "failed": 1}[ending], out
    drawn = re.findall(r"\r([^\r\n]*)\x1b\[K", out)
    assert any("%" in line for line in drawn), out
    assert max(len(line) for line in drawn) < columns
    # The last thing drawn is nothing, and after it come whole lines.
    assert drawn[-1] == ""
    rest = out[out.rindex("\x1b[K") :]
    assert "%," not in rest and "\r\n" in rest


def test_a_second_ctrl_c_ends_the_run_at_once_and_leaves_nothing_of_the_line(tool, sources, tmp_path):
    command = [str(tool), "run", str(sources / "good"), "--out", str(tmp_path / "out"), "--workers", "1"]
    out, code = on_a_terminal(command, 80, 2)
    assert code == 130, out
    drawn = re.findall(r"\r([^\r\n]*)\x1b\[K", out)
    assert any("%" in line for line in drawn) and drawn[-1] == "", out
