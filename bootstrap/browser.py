"""What a browser is told so that it sends what is the cluster's, and nothing else, through ssh's SOCKS proxy."""

import json

# Names of EC2: https://docs.aws.amazon.com/vpc/latest/userguide/vpc-dns.html
NAMES = ("*.compute.internal", "*.ec2.internal", "*.compute.amazonaws.com", "*.compute-1.amazonaws.com")


def pac(socks: str) -> str:
    """A proxy auto-configuration file. `socks`: host and port."""
    tests = " || ".join(f"shExpMatch(host, {json.dumps(name)})" for name in NAMES)
    return f"""function FindProxyForURL(url, host) {{
  if ({tests}) {{
    return "SOCKS5 {socks}";
  }}
  return "DIRECT";
}}
"""


def settings(socks: str) -> list[str]:
    """Lines for the user: one way for each browser."""
    host, _, port = socks.rpartition(":")
    return [
        f"SOCKS v5 proxy: host {host}, port {port}; through it the links among the pages work too, which go to the nodes by name",
        f"Chrome, Chromium, Edge: google-chrome --user-data-dir=$(mktemp -d) --proxy-server=socks5://{socks}",
        f"Firefox: Settings, Network Settings, Manual: SOCKS Host {host}, Port {port}, SOCKS v5, Proxy DNS when using SOCKS v5",
        "FoxyProxy, or any browser: a PAC file, which --pac FILE writes",
    ]
