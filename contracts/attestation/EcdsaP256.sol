// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {P256} from "@openzeppelin/contracts/utils/cryptography/P256.sol";

/// @title ECDSA over P-256, as certificates use it
/// @notice The precompile at 0x100 (EIP-7951) where there is one, 6,900 gas; OpenZeppelin's arithmetic elsewhere, about 230,000.
library EcdsaP256 {
    uint256 private constant HALF_N = P256.N / 2;

    /// @dev Whether (r, s) signs `digest` by the public key (x, y). OpenZeppelin's library refuses the larger of the two s that every signature has,
    /// to make signatures unique; X.509 does not ask for that, and half of Intel's signatures have it. Nothing here depends on uniqueness.
    function isValid(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view returns (bool) {
        uint256 high = uint256(s);
        if (high > HALF_N && high < P256.N) s = bytes32(P256.N - high);
        return P256.verify(digest, r, s, x, y);
    }

    /// @dev Short name of a public key: the last 20 bytes of its hash, as of an Ethereum address.
    function id(bytes32 x, bytes32 y) internal pure returns (bytes20) {
        return bytes20(uint160(uint256(keccak256(abi.encode(x, y)))));
    }
}
