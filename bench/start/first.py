"""Starts ell in an empty folder and tells when the first train was on its stream."""
import socket, subprocess, sys, time

ell, data = sys.argv[1:]
with socket.socket() as s:
    s.bind(("127.0.0.1", 0))
    port = s.getsockname()[1]
any_port = "127.0.0.1:0"
begun = time.monotonic()
p = subprocess.Popen(
    [ell, "--data", data, "--http-addr", f"127.0.0.1:{port}", "--kafka-addr", any_port, "--registry-addr", any_port, "--gateway-addr", any_port],
    stdout=subprocess.DEVNULL,
)
try:
    seen = b""
    while b'"trains":[[' not in seen:
        if time.monotonic() - begun > 30:
            sys.exit("no train within 30 s")
        try:
            with socket.create_connection(("127.0.0.1", port), timeout=5) as c:
                c.sendall(f"GET /api/v1/stream HTTP/1.1\r\nHost: 127.0.0.1:{port}\r\nAccept: text/event-stream\r\n\r\n".encode())
                seen = b""
                while b'"trains":[[' not in seen and (more := c.recv(65536)):
                    seen += more
                    if b" 503 " in seen[:16]:  # the hub is starting: ask again
                        break
        except OSError:
            time.sleep(0.005)
    took = time.monotonic() - begun
    with open(f"/proc/{p.pid}/status") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("VmRSS"))
    print(f"exec to first train: {took:.2f} s, {rss / 1000:.0f} MB resident")
finally:
    p.terminate()
    p.wait()
