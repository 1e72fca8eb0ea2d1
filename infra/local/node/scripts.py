"""Scripts as bitcoind shows them: assembly, type, address and descriptor, all on regtest."""

from __future__ import annotations

from functools import lru_cache

from btclib.exceptions import BTClibValueError
from btclib.script.script import script_to_asm
from btclib.script.script_pub_key import ScriptPubKey, address

NETWORK = "regtest"
_ANCHOR = bytes.fromhex("51024e73")
_OP_1, _OP_16 = 0x51, 0x60
_OP_RETURN, _OP_CHECKSIG, _OP_CHECKMULTISIG = 0x6A, 0xAC, 0xAE
_MAX_MULTISIG_KEYS = 20
_DESCRIPTOR_CHARACTERS = (
    "0123456789()[],'/*abcdefgh@:$%{}IJKLMNOPQRSTUVWXYZ&+-.;<=>?!^_|~ijklmnopqrstuvwxyzABCDEFGH`#\"\\ "
)
_CHECKSUM_CHARACTERS = "qpzry9x8gf2tvdw0s3jn54khce6mua7l"
_GENERATOR = (0xF5DEE51989, 0xA9FDCA3312, 0x1BAB10E32D, 0x3706B1677A, 0x644D626FFD)


def assembly(script: bytes, *, signature: bool = False) -> str:
    """Return the script in words; `signature` names the hash type of signatures, as for an input's script."""
    return script_to_asm(script, attempt_sighash_decode=signature)


@lru_cache(maxsize=20_000)
def describe(script: bytes) -> dict[str, str]:
    """Return an output script as bitcoind's `scriptPubKey` object (shared: do not change it)."""
    kind = script_type(script)
    found = {"asm": assembly(script), "desc": descriptor(script, kind), "hex": script.hex()}
    if where := script_address(script, kind):
        found["address"] = where
    return {**found, "type": kind}


def script_type(script: bytes) -> str:
    """Return bitcoind's name of the script's kind, by Core's Solver; `nonstandard` when it has none."""
    size = len(script)
    if size == 23 and script.startswith(b"\xa9\x14") and script.endswith(b"\x87"):
        return "scripthash"
    if 4 <= size <= 42 and (script[0] == 0 or _OP_1 <= script[0] <= _OP_16) and script[1] == size - 2:
        return _witness_type(script)
    if script[:1] == bytes([_OP_RETURN]) and _pushes(script[1:]) is not None:
        return "nulldata"
    if size in {35, 67} and script[0] == size - 2 and script[-1] == _OP_CHECKSIG and _is_key(script[1:-1]):
        return "pubkey"
    if size == 25 and script.startswith(b"\x76\xa9\x14") and script.endswith(b"\x88\xac"):
        return "pubkeyhash"
    return "multisig" if _is_multisig(script) else "nonstandard"


def _witness_type(script: bytes) -> str:
    if script == _ANCHOR:
        return "anchor"
    if script[0] == 0:
        return {22: "witness_v0_keyhash", 34: "witness_v0_scripthash"}.get(len(script), "nonstandard")
    return "witness_v1_taproot" if script[0] == _OP_1 and len(script) == 34 else "witness_unknown"


def _pushes(script: bytes) -> list[bytes] | None:
    """Return what a script pushes; None when it does anything else or ends within a push."""
    found: list[bytes] = []
    position = 0
    while position < len(script):
        opcode = script[position]
        position += 1
        if opcode > _OP_16:
            return None
        # Opcodes 0x4c to 0x4e say in the next 1, 2 or 4 bytes how many they push.
        width = {0x4C: 1, 0x4D: 2, 0x4E: 4}.get(opcode, 0)
        count = int.from_bytes(script[position : position + width], "little") if width else opcode
        if not width and opcode > 0x4E:
            found.append(bytes([opcode]))
            continue
        if position + width + count > len(script):
            return None
        position += width + count
        found.append(script[position - count : position])
    return found


def _is_key(data: bytes) -> bool:
    return data[:1] in {b"\x02", b"\x03"} if len(data) == 33 else len(data) == 65 and data[0] in {4, 6, 7}


def _is_multisig(script: bytes) -> bool:
    parts = _pushes(script[:-1]) if script[-1:] == bytes([_OP_CHECKMULTISIG]) else None
    if not parts or len(parts) < 3 or not all(_is_key(key) for key in parts[1:-1]):
        return False
    needed, total = _key_count(parts[0]), _key_count(parts[-1])
    return 1 <= needed <= total == len(parts) - 2


def _key_count(part: bytes) -> int:
    if len(part) != 1:
        return 0
    if _OP_1 <= part[0] <= _OP_16:
        return part[0] - _OP_1 + 1
    return part[0] if 16 < part[0] <= _MAX_MULTISIG_KEYS else 0


def script_address(script: bytes, kind: str) -> str:
    """Return the address; empty for kinds that have none."""
    return "" if kind in {"pubkey", "multisig", "nulldata", "nonstandard"} else address(script, NETWORK)


def descriptor(script: bytes, kind: str) -> str:
    """Return the output descriptor, with its checksum, that a node without the keys gives."""
    if kind == "pubkey":
        body = f"pk({script[1:-1].hex()})"
    elif kind == "multisig":
        body = f"multi({','.join(assembly(script).split()[:-2])})"
    elif kind == "witness_v1_taproot":
        body = f"rawtr({script[2:].hex()})"
    elif where := script_address(script, kind):
        body = f"addr({where})"
    else:
        body = f"raw({script.hex()})"
    return f"{body}#{descriptor_checksum(body)}"


def descriptor_checksum(body: str) -> str:
    """Return BIP380's eight characters for a descriptor without checksum; ValueError for a foreign character."""
    state, group, count = 1, 0, 0
    for character in body:
        position = _DESCRIPTOR_CHARACTERS.index(character)
        state = _step(state, position & 31)
        group, count = group * 3 + (position >> 5), count + 1
        if count % 3 == 0:
            state, group = _step(state, group), 0
    if count % 3:
        state = _step(state, group)
    for _ in range(8):
        state = _step(state, 0)
    state ^= 1
    return "".join(_CHECKSUM_CHARACTERS[(state >> (5 * (7 - index))) & 31] for index in range(8))


def _step(state: int, value: int) -> int:
    top = state >> 35
    state = ((state & 0x7FFFFFFFF) << 5) ^ value
    for index, generator in enumerate(_GENERATOR):
        if top >> index & 1:
            state ^= generator
    return state


def script_for(destination: str) -> bytes | None:
    """Return the script of a regtest address or of a `raw(HEX)` descriptor; None when it is neither."""
    try:
        if destination.startswith("raw("):
            return bytes.fromhex(destination[4 : destination.index(")")])
        found = ScriptPubKey.from_address(destination)
        # Legacy addresses of the test networks share their prefixes: one reads back as testnet's.
        return found.script if address(found.script, NETWORK) == destination.strip() else None
    except (BTClibValueError, ValueError):
        return None
