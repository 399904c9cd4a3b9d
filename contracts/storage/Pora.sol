// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Verification of one proof of random access
/// @notice The hashing of a proof, without any state. Data is addressed in sectors of 256 bytes; a seal is 16 of them, a load 1024.
/// A nonce fixes a scratchpad of 256 cells of 64 bytes; its last cell chooses the load, and a seal is tried by hashing it with the quarter
/// of the pad that belongs to it. Nothing here keeps the pad: each cell is mixed into the message block that needs it, or just stepped over.
library Pora {
    uint256 internal constant SECTORS_PER_SEAL = 16;
    uint256 internal constant SECTORS_PER_LOAD = 1024;
    uint256 internal constant SEALS_PER_LOAD = 64;

    /// Merkle root of a seal of 4096 zero bytes.
    bytes32 internal constant ZERO_SEAL_ROOT = 0x09c7082879180d28c789c05fafe7030871c76cedbe82c948b165d6a1d66ac15b;

    // The initial state of BLAKE2b (RFC 7693) for an unkeyed 64-byte digest, as the precompile takes it: eight 64-bit words, little-endian.
    bytes32 private constant BLAKE2B_STATE_0 = 0x48c9bdf267e6096a3ba7ca8485ae67bb2bf894fe72f36e3cf1361d5f3af54fa5;
    bytes32 private constant BLAKE2B_STATE_1 = 0xd182e6ad7f520e511f6c3e2b8c68059b6bbd41fbabd9831f79217e1319cde05b;

    /// The BLAKE2F precompile (EIP-152) is absent on this chain.
    error Blake2FUnavailable();

    /// @notice BLAKE2b-512 of the four words: what the scratchpad of a nonce grows from.
    function padSeed(
        bytes32 minerId,
        bytes32 nonce,
        bytes32 subtaskDigest,
        bytes32 rangeDigest
    ) internal view returns (bytes32 seed0, bytes32 seed1) {
        bool done;
        // Works in memory past the free pointer and leaves nothing there. Input of EIP-152 from `input + 28`: 4 bytes rounds, 64 state,
        // 128 message, 16 byte counter (little-endian), 1 final flag; so that state and message are aligned with `input`.
        assembly ("memory-safe") {
            let input := mload(0x40)
            mstore(input, 12)
            mstore(add(input, 32), BLAKE2B_STATE_0)
            mstore(add(input, 64), BLAKE2B_STATE_1)
            mstore(add(input, 96), minerId)
            mstore(add(input, 128), nonce)
            mstore(add(input, 160), subtaskDigest)
            mstore(add(input, 192), rangeDigest)
            // 128 bytes so far, and this block is the last
            mstore(add(input, 224), or(shl(255, 1), shl(120, 1)))
            done := staticcall(gas(), 0x09, add(input, 28), 213, add(input, 32), 64)
            // a call to an address without code succeeds and returns nothing
            done := and(done, eq(returndatasize(), 64))
            seed0 := mload(add(input, 32))
            seed1 := mload(add(input, 64))
        }
        require(done, Blake2FUnavailable());
    }

    /// @notice Runs the scratchpad and hashes the seal with its quarter.
    /// @param sealOffset place of the seal in its load, 0 to 63
    /// @param sealedData the seal as the miner keeps it
    /// @return recallSeed keccak256 of the last cell, which chooses the load
    /// @return quality first half of BLAKE2b-512(offset, seed, 32 zero bytes, sealed XOR pad quarter): small enough wins
    function evaluate(
        bytes32 seed0,
        bytes32 seed1,
        uint256 sealOffset,
        bytes32[128] calldata sealedData
    ) internal view returns (bytes32 recallSeed, bytes32 quality) {
        bool done;
        // As in `padSeed`; the current cell lives in the scratch space [0, 64), where a step is two hashes of it: the second one sees the
        // first half already replaced.
        assembly ("memory-safe") {
            function step() {
                mstore(0x00, keccak256(0x00, 0x40))
                mstore(0x20, keccak256(0x00, 0x40))
            }
            // `cells` is a multiple of 8
            function skip(cells) {
                for {} cells {
                    cells := sub(cells, 8)
                } {
                    step()
                    step()
                    step()
                    step()
                    step()
                    step()
                    step()
                    step()
                }
            }

            let input := mload(0x40)
            let state := add(input, 32)
            let message := add(input, 96)
            let counter := add(input, 224)
            let start := add(input, 28)

            mstore(input, 12)
            mstore(state, BLAKE2B_STATE_0)
            mstore(add(input, 64), BLAKE2B_STATE_1)
            mstore(message, sealOffset)
            mstore(add(message, 32), seed0)
            mstore(add(message, 64), seed1)
            mstore(add(message, 96), 0)
            mstore(counter, shl(255, 1))
            done := staticcall(gas(), 0x09, start, 213, state, 64)

            mstore(0x00, seed0)
            mstore(0x20, seed1)
            let quarter := and(sealOffset, 3)
            skip(shl(6, quarter))
            let data := sealedData
            // 64 cells make 32 message blocks, after the one above; 128 * block bytes have been hashed after each
            for {
                let block_ := 2
            } lt(block_, 34) {
                block_ := add(block_, 1)
            } {
                step()
                mstore(message, xor(mload(0x00), calldataload(data)))
                mstore(add(message, 32), xor(mload(0x20), calldataload(add(data, 32))))
                step()
                mstore(add(message, 64), xor(mload(0x00), calldataload(add(data, 64))))
                mstore(add(message, 96), xor(mload(0x20), calldataload(add(data, 96))))
                mstore(counter, or(or(shl(255, and(block_, 1)), shl(240, shr(1, block_))), shl(120, eq(block_, 33))))
                done := and(done, staticcall(gas(), 0x09, start, 213, state, 64))
                data := add(data, 128)
            }
            done := and(done, eq(returndatasize(), 64))
            quality := mload(state)

            skip(shl(6, sub(3, quarter)))
            recallSeed := keccak256(0x00, 0x40)
        }
        require(done, Blake2FUnavailable());
    }

    /// @notice Opens a seal and hashes its 16 sectors to the Merkle node that stands for them.
    /// @param contextDigest context that the miner sealed under
    /// @param position first sector of the seal
    function sealRoot(
        bytes32 minerId,
        bytes32 contextDigest,
        uint256 position,
        bytes32[128] calldata sealedData
    ) internal pure returns (bytes32 root) {
        // Memory past the free pointer: 4096 bytes of data, then 16 leaves. Each word is masked with the hash of the sealed word before
        // it, so opening from the end finds every sealed word still in place.
        assembly ("memory-safe") {
            function open(word) {
                mstore(word, xor(mload(word), keccak256(sub(word, 32), 32)))
            }

            let data := mload(0x40)
            let leaves := add(data, 4096)
            mstore(data, minerId)
            mstore(add(data, 32), contextDigest)
            mstore(add(data, 64), position)
            let firstMask := keccak256(data, 96)
            calldatacopy(data, sealedData, 4096)

            let leaf := add(leaves, 512)
            for {
                let sector := leaves
            } gt(sector, data) {} {
                sector := sub(sector, 256)
                open(add(sector, 224))
                open(add(sector, 192))
                open(add(sector, 160))
                open(add(sector, 128))
                open(add(sector, 96))
                open(add(sector, 64))
                open(add(sector, 32))
                switch eq(sector, data)
                case 0 {
                    open(sector)
                }
                default {
                    mstore(sector, xor(mload(sector), firstMask))
                }
                leaf := sub(leaf, 32)
                mstore(leaf, keccak256(sector, 256))
            }

            // In place: a parent is written at or before the first of its children.
            for {
                let width := 256
            } width {
                width := shr(1, width)
            } {
                for {
                    let at := 0
                } lt(at, width) {
                    at := add(at, 32)
                } {
                    mstore(add(leaves, at), keccak256(add(leaves, shl(1, at)), 64))
                }
                if eq(width, 32) {
                    break
                }
            }
            root := mload(leaves)
        }
    }

    /// @notice Climbs from a seal's node to the root of the log.
    /// @param index place of the seal among the seals of the log; its bits say on which side each sibling is
    function flowRoot(bytes32 node, uint256 index, bytes32[] calldata siblings) internal pure returns (bytes32 root) {
        root = node;
        assembly ("memory-safe") {
            let end := add(siblings.offset, shl(5, siblings.length))
            for {
                let sibling := siblings.offset
            } lt(sibling, end) {
                sibling := add(sibling, 32)
            } {
                let right := shl(5, and(index, 1))
                mstore(right, root)
                mstore(xor(right, 32), calldataload(sibling))
                root := keccak256(0x00, 0x40)
                index := shr(1, index)
            }
        }
    }
}
