// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {BN254, G1Point} from "../lib/BN254.sol";

/// @title What drand signs for a round, as a point
/// @notice Of the scheme bls-bn254-unchained-on-g1: hash_to_curve of RFC 9380 (expand_message_xmd with Keccak-256, and the map of Shallue and
/// van de Woestijne) over keccak256(number of the round, 8 bytes).
library DrandMessage {
    // The domain, and its length behind it (43 bytes).
    bytes32 private constant DOMAIN_START = "BLS_SIG_BN254G1_XMD:KECCAK-256_S";
    bytes32 private constant DOMAIN_END = "VDW_RO_NUL_\x2b";

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

    /// @dev hash_to_field of RFC 9380, section 5.2: two elements of 48 bytes each, as the order of the field has 254 bits and 128 more keep the
    /// remainder from being biased.
    function fieldElements(bytes32 message) internal pure returns (uint256 u0, uint256 u1) {
        (bytes32 start, bytes32 end) = (DOMAIN_START, DOMAIN_END);
        (uint256 b1, uint256 b2, uint256 b3) = (0, 0, 0);
        assembly ("memory-safe") {
            // expand_message_xmd. A block of the sponge of zeros (136 bytes), the message, how many bytes there shall be (96), zero, the domain.
            let at := mload(0x40)
            calldatacopy(at, calldatasize(), 136)
            mstore(add(at, 136), message)
            mstore(add(at, 168), shl(232, 0x006000))
            mstore(add(at, 171), start)
            mstore(add(at, 203), end)
            let first := keccak256(at, 215)
            // Then each time that hash XOR the last one, which one it is, and the domain.
            mstore(add(at, 33), start)
            mstore(add(at, 65), end)
            mstore(at, first)
            mstore8(add(at, 32), 1)
            b1 := keccak256(at, 77)
            mstore(at, xor(first, b1))
            mstore8(add(at, 32), 2)
            b2 := keccak256(at, 77)
            mstore(at, xor(first, b2))
            mstore8(add(at, 32), 3)
            b3 := keccak256(at, 77)
        }
        u0 = addmod(mulmod(b1, 1 << 128, BN254.P), b2 >> 128, BN254.P);
        u1 = addmod(mulmod(uint128(b2), 1 << 128, BN254.P), b3 >> 128, BN254.P);
        u1 = addmod(mulmod(u1, 1 << 128, BN254.P), uint128(b3), BN254.P);
    }
}
