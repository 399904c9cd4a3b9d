// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {LowLevelCall} from "@openzeppelin/contracts/utils/LowLevelCall.sol";

/// A point of BN254 (alt_bn128), affine; (0, 0) is infinity.
struct G1Point {
    uint256 x;
    uint256 y;
}

/// A point of its twist. Each coordinate is [imaginary, real], the order of the pairing precompile (EIP-197).
struct G2Point {
    uint256[2] x;
    uint256[2] y;
}

/// @title BLS signatures on BN254, by the precompiles 6 to 8 that every EVM has (EIP-196, EIP-197)
/// @notice Signatures are points of G1. A key is a point of both groups, as adding keys up is cheap in G1 and verifying needs G2.
library BN254 {
    /// @notice Order of the field.
    uint256 internal constant P = 21888242871839275222246405745257275088696311157297823662689037894645226208583;
    /// @notice Order of the groups.
    uint256 internal constant R = 21888242871839275222246405745257275088548364400416034343698204186575808495617;

    address private constant ADD = address(6);
    address private constant MUL = address(7);
    address private constant PAIRING = address(8);

    // The generator of G2, negated.
    uint256 private constant NEGATED_G2_X1 =
        11559732032986387107991004021392285783925812861821192530917403151452391805634;
    uint256 private constant NEGATED_G2_X0 =
        10857046999023057135944570762232829481370756359578518086990519993285655852781;
    uint256 private constant NEGATED_G2_Y1 =
        17805874995975841540914202342111839520379459829704422454583296818431106115052;
    uint256 private constant NEGATED_G2_Y0 =
        13392588948715843804641432497768002650278120570034223513918757245338268106653;

    /// @dev Sum of two points. `valid`: both are on the curve.
    function add(G1Point memory a, G1Point memory b) internal view returns (bool valid, G1Point memory sum) {
        return _call(ADD, abi.encode(a, b));
    }

    /// @dev `scalar` times a point. `valid`: it is on the curve.
    function mul(G1Point memory a, uint256 scalar) internal view returns (bool valid, G1Point memory product) {
        return _call(MUL, abi.encode(a, scalar));
    }

    /// @dev Whether e(a, -G2)·e(b, key) = 1; false as well if a point is not one of its group.
    function isPairing(G1Point memory a, G1Point memory b, G2Point memory key) internal view returns (bool) {
        bytes memory pairs = abi.encode(a, NEGATED_G2_X1, NEGATED_G2_X0, NEGATED_G2_Y1, NEGATED_G2_Y0, b, key);
        (bool success, bytes32 one, ) = LowLevelCall.staticcallReturn64Bytes(PAIRING, pairs);
        return success && LowLevelCall.returnDataSize() == 32 && uint256(one) == 1;
    }

    /// @dev Hash of a digest to the curve: x = keccak256(digest ‖ counter) mod p, and y the smaller square root of x³ + 3. The counter and y are hints,
    /// so that no root is computed here. Any counter with a root is as good: a signature is valid for the one it was made with.
    function hashToG1(
        bytes32 digest,
        uint8 counter,
        uint256 y
    ) internal pure returns (bool valid, G1Point memory hash) {
        uint256 x = uint256(keccak256(abi.encodePacked(digest, counter))) % P;
        hash = G1Point(x, y);
        valid = y <= P / 2 && mulmod(y, y, P) == addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
    }

    /// @dev Whether `key` and `keyG2` have one secret, and `signature` is by it over `hash`. Both in one pairing check:
    /// e(signature + γ·key, -G2)·e(hash + γ·G1, keyG2) = 1, with γ from all that is checked (Fiat–Shamir). False if a point is not one of its group.
    function isSignature(
        G1Point memory signature,
        G1Point memory key,
        G2Point memory keyG2,
        G1Point memory hash
    ) internal view returns (bool) {
        uint256 gamma = uint256(keccak256(abi.encode(signature, key, keyG2, hash))) % R;
        (bool a, G1Point memory left) = _addTimes(signature, key, gamma);
        (bool b, G1Point memory right) = _addTimes(hash, G1Point(1, 2), gamma);
        return a && b && isPairing(left, right, keyG2);
    }

    /// a + scalar·b.
    function _addTimes(
        G1Point memory a,
        G1Point memory b,
        uint256 scalar
    ) private view returns (bool valid, G1Point memory sum) {
        (valid, sum) = mul(b, scalar);
        if (valid) (valid, sum) = add(a, sum);
    }

    function _call(address precompile, bytes memory input) private view returns (bool valid, G1Point memory point) {
        (bool success, bytes32 x, bytes32 y) = LowLevelCall.staticcallReturn64Bytes(precompile, input);
        return (success && LowLevelCall.returnDataSize() == 64, G1Point(uint256(x), uint256(y)));
    }
}
