"""An Apache Kafka broker of our own, in a temporary folder: KRaft mode, one node, on loopback."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
import threading
from pathlib import Path
from typing import Any, Final

from tree import ROOT

_ROOM_S: Final = 90
_POM: Final = ROOT / "tests" / "live" / "kafka" / "pom.xml"
_CLUSTER: Final = "ZXZlbnR0aW1ldGVzdHMwMA"
_USER: Final = 'username="eventtime" password="right" user_eventtime="right"'
_LOGIN: Final = f"org.apache.kafka.common.security.plain.PlainLoginModule required {_USER};"
_OPTIONS: Final = {
    "process.roles": "broker,controller",
    "node.id": "1",
    "controller.listener.names": "CONTROLLER",
    "listener.security.protocol.map": "PLAIN:PLAINTEXT,CONTROLLER:PLAINTEXT,LOGIN:SASL_PLAINTEXT",
    "inter.broker.listener.name": "PLAIN",
    "sasl.enabled.mechanisms": "PLAIN",
    "listener.name.login.plain.sasl.jaas.config": _LOGIN,
    "auto.create.topics.enable": "false",
    "group.initial.rebalance.delay.ms": "0",
    "group.min.session.timeout.ms": "500",
    "offsets.topic.num.partitions": "1",
    "offsets.topic.replication.factor": "1",
    "transaction.state.log.num.partitions": "1",
    "transaction.state.log.replication.factor": "1",
    "transaction.state.log.min.isr": "1",
    "log.cleaner.enable": "false",
    # Messages have times of 1970: half a minute behind its start, and every five minutes, the
    # broker would delete those older than a week, also where nobody has read them yet.
    "log.retention.ms": "-1",
    "num.network.threads": "2",
    "num.io.threads": "2",
    "num.recovery.threads.per.data.dir": "1",
}
_JVM: Final = ("-XX:+UseSerialGC", "-XX:TieredStopAtLevel=1", "-Xshare:auto", "-Xmx512m")


def jars() -> Path | str:
    """Return the folder of the broker's jars, fetched by Maven the first time; or what is missing.

    It is the one that EVENTTIME_KAFKA_JARS names, or `.kafka` in the checkout.
    """
    folder = Path(os.environ.get("EVENTTIME_KAFKA_JARS") or ROOT / ".kafka")
    missing = [program for program in ("java", "mvn") if shutil.which(program) is None]
    if missing[:1] == ["java"] or (missing and not folder.exists()):
        return f"a Kafka broker needs {' and '.join(missing)}"
    if folder.exists():
        return folder
    fresh = folder.with_name(f"{folder.name}-{os.getpid()}")
    goal = ("dependency:copy-dependencies", f"-DoutputDirectory={fresh}")
    done = subprocess.run(
        ["mvn", "-q", "-B", "-f", _POM, *goal], capture_output=True, text=True, check=False
    )
    if done.returncode:
        return f"Maven did not bring the broker: {done.stdout[-500:]}"
    try:
        fresh.rename(folder)
    except OSError:  # another process was first
        shutil.rmtree(fresh)
    return folder


class KafkaServer:
    """A broker that can be stopped, killed and started again, on the same ports.

    Args:
        jars: folder of its jars.
        jvm: options of its machine; for tests, one that starts fast.
    """

    def __init__(self, jars: Path, jvm: tuple[str, ...] = _JVM) -> None:
        self._folder = Path(tempfile.mkdtemp(prefix="eventtime-kafka-"))
        plain, controller, login = _free_ports(3)
        self.servers, self.servers_with_login = f"127.0.0.1:{plain}", f"127.0.0.1:{login}"
        addresses = f"PLAIN://127.0.0.1:{plain},LOGIN://127.0.0.1:{login}"
        options = {
            **_OPTIONS,
            "log.dirs": f"{self._folder}/data",
            "controller.quorum.voters": f"1@127.0.0.1:{controller}",
            "listeners": f"{addresses},CONTROLLER://127.0.0.1:{controller}",
            "advertised.listeners": addresses,
        }
        (self._folder / "data").mkdir()
        _write(self._folder / "server.properties", options)
        # What the broker's own tool writes into its storage, in a second less.
        known = {"version": "1", "cluster.id": _CLUSTER, "node.id": "1"}
        _write(self._folder / "data" / "meta.properties", known)
        self._command = ["java", *jvm, "-cp", f"{jars}/*", "kafka.Kafka", "server.properties"]
        self._server: subprocess.Popen[Any] | None = None
        self.start()

    def start(self) -> None:
        """Start, and wait until it answers."""
        with (self._folder / "log").open("ab") as log:
            self._server = subprocess.Popen(self._command, cwd=self._folder, stdout=log, stderr=log)
        for _ in range(_ROOM_S * 10):
            if self._answers():
                return
            if self._server.poll() is not None:
                break
            threading.Event().wait(0.1)
        self._server.kill()
        raise RuntimeError((self._folder / "log").read_text()[-4_000:])

    def stop(self) -> None:
        """Let it end in order."""
        assert self._server is not None
        self._server.terminate()
        self._server.wait(_ROOM_S)

    def kill(self) -> None:
        """Kill it, as a power switch would."""
        assert self._server is not None
        self._server.kill()
        self._server.wait(_ROOM_S)

    def remove(self) -> None:
        """Kill it, and leave nothing."""
        self.kill()
        shutil.rmtree(self._folder)

    def _answers(self) -> bool:
        from confluent_kafka import KafkaException
        from confluent_kafka.admin import AdminClient

        host, _, port = self.servers.partition(":")
        with socket.socket() as probe:
            if probe.connect_ex((host, int(port))):
                return False
        admin = AdminClient({"bootstrap.servers": self.servers, "log_level": 0})
        try:
            return bool(admin.list_topics(timeout=2).brokers)
        except KafkaException:
            return False


def _free_ports(n: int) -> list[int]:
    """Find ports that nobody listens on now."""
    probes = [socket.create_server(("127.0.0.1", 0)) for _ in range(n)]
    ports = [probe.getsockname()[1] for probe in probes]
    for probe in probes:
        probe.close()
    return ports


def _write(path: Path, options: dict[str, str]) -> None:
    path.write_text("".join(f"{name}={value}\n" for name, value in options.items()))
