"""What a run shows on a terminal, in a real one: a line that fits, and of which nothing stays after the run, Ctrl-C or an error."""

import fcntl
import json
import os
import pty
import re
import signal
import struct
import termios

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


def on_a_terminal(command, columns, interrupt):
    """What the command writes to a terminal of so many columns, and its exit code. Ctrl-C comes after the first line."""
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
        if interrupt and b"%" in out:
            os.kill(pid, signal.SIGINT)
            interrupt = False
    _, status = os.waitpid(pid, 0)
    os.close(terminal)
    return out.decode(), os.waitstatus_to_exitcode(status)


@pytest.mark.parametrize("columns, ending", [(80, "done"), (80, "interrupted"), (80, "failed"), (40, "done"), (12, "interrupted")])
def test_the_line_fits_and_nothing_of_it_stays(tool, sources, tmp_path, columns, ending):
    source = sources / ("bad" if ending == "failed" else "good")
    options = ["--max-rejects", "0", "--workers", "1"]
    command = [str(tool), "run", str(source), "--out", str(tmp_path / "out"), *options]
    out, code = on_a_terminal(command, columns, ending == "interrupted")
    assert code == {"done": 0, "interrupted": 130, "failed": 1}[ending], out
    drawn = re.findall(r"\r([^\r\n]*)\x1b\[K", out)
    assert any("%" in line for line in drawn), out
    assert max(len(line) for line in drawn) < columns
    # The last thing drawn is nothing, and after it come whole lines.
    assert drawn[-1] == ""
    rest = out[out.rindex("\x1b[K") :]
    assert "%," not in rest and "\r\n" in rest
