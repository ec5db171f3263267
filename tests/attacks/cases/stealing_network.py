"""The network: the loopback, the machine's other addresses, the name service, metadata services, IPv6.

mlp.linear_backward: wrong | not written
shown: network tried
absent: CONNECTED
"""
# %% last
import socket

print("network tried")
for address in ("127.0.0.1", "::1", "0.0.0.0", "10.0.0.1", "169.254.169.254", "1.1.1.1", "172.17.0.1"):
    for port in (@PORT@, 80, 53, 5432, 8888):
        try:
            socket.create_connection((address, port), timeout=0.2).sendall(b"@MARK@")
            print("CONNECTED to", address, port)
        except OSError:
            pass
    try:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as datagrams:
            datagrams.sendto(b"@MARK@", (address, @PORT@))
    except OSError:
        pass
try:
    print("CONNECTED by name", socket.gethostbyname("example.org"))
except OSError:
    pass
