// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {BN254, G1Point, G2Point} from "../../contracts/lib/BN254.sol";
import {DrandMessage} from "../../contracts/randomness/DrandMessage.sol";

contract BN254Harness {
    function add(G1Point memory a, G1Point memory b) external view returns (bool valid, G1Point memory) {
        valid = BN254.addTo(a, b.x, b.y);
        return (valid, a);
    }

    function hashToG1(bytes32 digest, uint8 counter, uint256 y) external pure returns (bool, G1Point memory) {
        return BN254.hashToG1(digest, counter, y);
    }

    function isSignature(
        G1Point calldata signature,
        G1Point calldata key,
        G2Point calldata keyG2,
        G1Point calldata hash
    ) external view returns (bool) {
        return BN254.isSignature(signature, key, keyG2, hash);
    }

    function isSignatureBy(
        G1Point calldata signature,
        G2Point calldata keyG2,
        G1Point calldata hash
    ) external view returns (bool) {
        return BN254.isSignature(signature, keyG2, hash);
    }

    function isKey(G2Point calldata keyG2) external view returns (bool) {
        return BN254.isKey(keyG2);
    }

    function mapToG1(uint256 u, uint256[4] calldata hints) external pure returns (bool, G1Point memory) {
        return BN254.mapToG1(u, hints);
    }

    function roundHash(uint64 round, uint256[4][2] calldata hints) external view returns (bool, G1Point memory) {
        // Memory that was used before is not clean.
        assembly ("memory-safe") {
            codecopy(mload(0x40), 0, 1024)
        }
        return DrandMessage.hashToG1(round, hints);
    }
}
