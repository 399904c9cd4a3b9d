// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {BN254, G1Point} from "../lib/BN254.sol";

/// @title What drand signs for a round, as a point
/// @notice Of the scheme bls-bn254-unchained-on-g1: hash_to_curve of RFC 9380 (expand_message_xmd with Keccak-256, and the map of Shallue and
/// van de Woestijne) over keccak256(number of the round, 8 bytes).
library DrandMessage {
    /// The domain, and its length behind it (43 bytes).
    bytes private constant DOMAIN = "BLS_SIG_BN254G1_XMD:KECCAK-256_SVDW_RO_NUL_\x2b";
    /// Bytes of two field elements, 48 each: the order of the field has 254 bits, and 128 more keep the remainder from being biased.
    uint16 private constant LENGTH = 96;

    /// @dev `hints`: for each of the two field elements, see `BN254.mapToG1`.
    function hashToG1(
        uint64 round,
        uint256[4][2] calldata hints
    ) internal view returns (bool valid, G1Point memory hash) {
        (uint256 u0, uint256 u1) = fieldElements(keccak256(abi.encodePacked(round)));
        G1Point memory other;
        (valid, hash) = BN254.mapToG1(u0, hints[0]);
        if (valid) (valid, other) = BN254.mapToG1(u1, hints[1]);
        valid = valid && BN254.addTo(hash, other.x, other.y);
    }

    /// @dev hash_to_field of RFC 9380, section 5.2.
    function fieldElements(bytes32 message) internal pure returns (uint256 u0, uint256 u1) {
        // As long as a block of the sponge: 136 bytes.
        bytes32 first = keccak256(
            abi.encodePacked(
                bytes32(0),
                bytes32(0),
                bytes32(0),
                bytes32(0),
                bytes8(0),
                message,
                LENGTH,
                uint8(0),
                DOMAIN
            )
        );
        bytes memory next = abi.encodePacked(first, uint8(1), DOMAIN);
        bytes32 b1 = keccak256(next);
        bytes32 b2 = _hash(next, first ^ b1, 2);
        bytes32 b3 = _hash(next, first ^ b2, 3);
        // 48 bytes are one word and half of another.
        u0 = addmod(mulmod(uint256(b1), 1 << 128, BN254.P), uint256(b2) >> 128, BN254.P);
        u1 = addmod(mulmod(uint128(uint256(b2)), 1 << 128, BN254.P), uint256(b3) >> 128, BN254.P);
        u1 = addmod(mulmod(u1, 1 << 128, BN254.P), uint128(uint256(b3)), BN254.P);
    }

    /// Hash of the same with another beginning: 32 bytes, and the count behind them.
    function _hash(bytes memory next, bytes32 start, uint8 count) private pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            mstore(add(next, 32), start)
            mstore8(add(next, 64), count)
            hash := keccak256(add(next, 32), mload(next))
        }
    }
}
