"""bitcoind's error codes, and the exception that carries one to the caller."""

from __future__ import annotations

from enum import IntEnum


class Code(IntEnum):
    """The numbers of bitcoind's rpc/protocol.h that this node answers with."""

    MISC = -1
    TYPE = -3
    INVALID_ADDRESS_OR_KEY = -5
    INVALID_PARAMETER = -8
    DESERIALIZATION = -22
    VERIFY = -25
    VERIFY_REJECTED = -26
    VERIFY_ALREADY_IN_CHAIN = -27
    IN_WARMUP = -28
    INVALID_REQUEST = -32600
    METHOD_NOT_FOUND = -32601
    PARSE = -32700


class RpcError(Exception):
    """An answer that is an error: its code and its one line for people."""

    def __init__(self, code: Code, message: str) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
