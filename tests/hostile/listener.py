"""Something on loopback that notices whoever calls."""

from __future__ import annotations

import select
import socket
import threading


class Listener:
    """TCP and UDP on one port; ``calls`` counts connections and packets."""

    def __enter__(self) -> Listener:
        while True:
            self._tcp, self._udp = socket.socket(), socket.socket(type=socket.SOCK_DGRAM)
            self._tcp.bind(("127.0.0.1", 0))
            self.port: int = self._tcp.getsockname()[1]
            try:
                self._udp.bind(("127.0.0.1", self.port))
            except OSError:
                self._tcp.close()
                self._udp.close()
                continue
            break
        self._tcp.listen()
        self.calls = 0
        self._ended, self._end = socket.socketpair()
        self._thread = threading.Thread(target=self._listen)
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._end.close()
        self._thread.join()
        for one in (self._tcp, self._udp, self._ended):
            one.close()

    def _listen(self) -> None:
        while True:
            ready, _, _ = select.select([self._tcp, self._udp, self._ended], [], [])
            if self._ended in ready:
                return
            self.calls += len(ready)
            if self._tcp in ready:
                self._tcp.accept()[0].close()
            if self._udp in ready:
                self._udp.recv(65536)
