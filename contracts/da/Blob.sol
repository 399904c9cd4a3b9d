// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @notice What the id of a blob commits to. All integers of its encoding are big endian.
struct Blob {
    /// 1: rows of a Reed–Solomon code over GF(2^16), rate 1/4, chunk leaves.
    uint8 scheme;
    /// K = 2^log2K original rows: 6, 8, 10, 12 or 14.
    uint8 log2K;
    /// T = 2^log2T rows in all: log2K + 2.
    uint8 log2T;
    /// Bytes of a row, a multiple of 64.
    uint32 rowSize;
    /// Bytes of the blob, without padding.
    uint64 length;
    /// Root over the T rows.
    bytes32 rowRoot;
    /// Root over the K random linear combinations of the original rows.
    bytes32 rlcRoot;
}
