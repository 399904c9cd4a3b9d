// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

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

    // The generator of G2, negated.
    uint256 private constant NEGATED_G2_X1 =
        11559732032986387107991004021392285783925812861821192530917403151452391805634;
    uint256 private constant NEGATED_G2_X0 =
        10857046999023057135944570762232829481370756359578518086990519993285655852781;
    uint256 private constant NEGATED_G2_Y1 =
        17805874995975841540914202342111839520379459829704422454583296818431106115052;
    uint256 private constant NEGATED_G2_Y0 =
        13392588948715843804641432497768002650278120570034223513918757245338268106653;

    // Of the map to the curve: -1/2, the even root of -12, and -16/3.
    uint256 private constant MAP_C2 = 10944121435919637611123202872628637544348155578648911831344518947322613104291;
    uint256 private constant MAP_C3 = 8815841940592487685674414971303048083897117035520822607866;
    uint256 private constant MAP_C4 = 7296080957279758407415468581752425029565437052432607887563012631548408736189;

    /// @dev Adds the point (x, y) to `sum`, in place. False if one of them is not on the curve.
    function addTo(G1Point memory sum, uint256 x, uint256 y) internal view returns (bool valid) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            mcopy(free, sum, 64)
            mstore(add(free, 64), x)
            mstore(add(free, 96), y)
            valid := staticcall(gas(), 6, free, 128, sum, 64)
        }
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
        G1Point calldata signature,
        G1Point memory key,
        G2Point calldata keyG2,
        G1Point memory hash
    ) internal view returns (bool valid) {
        // A single piece of memory: what is hashed becomes, step by step, the two pairs.
        assembly ("memory-safe") {
            let pairs := mload(0x40)
            calldatacopy(pairs, signature, 64)
            mcopy(add(pairs, 64), key, 64)
            calldatacopy(add(pairs, 128), keyG2, 128)
            mcopy(add(pairs, 256), hash, 64)
            let gamma := mod(keccak256(pairs, 320), R)
            // signature + γ·key
            mstore(add(pairs, 128), gamma)
            valid := staticcall(gas(), 7, add(pairs, 64), 96, add(pairs, 64), 64)
            // A precompile that fails takes nearly all gas that is left: the first failure is the last.
            if valid {
                valid := staticcall(gas(), 6, pairs, 128, pairs, 64)
            }
            // hash + γ·G1
            if valid {
                mstore(add(pairs, 320), 1)
                mstore(add(pairs, 352), 2)
                mstore(add(pairs, 384), gamma)
                valid := staticcall(gas(), 7, add(pairs, 320), 96, add(pairs, 320), 64)
            }
            if valid {
                valid := staticcall(gas(), 6, add(pairs, 256), 128, add(pairs, 192), 64)
            }
            if valid {
                mstore(add(pairs, 64), NEGATED_G2_X1)
                mstore(add(pairs, 96), NEGATED_G2_X0)
                mstore(add(pairs, 128), NEGATED_G2_Y1)
                mstore(add(pairs, 160), NEGATED_G2_Y0)
                calldatacopy(add(pairs, 256), keyG2, 128)
                valid := staticcall(gas(), 8, pairs, 384, 0, 32)
                // A chain without the precompile answers nothing, and successfully.
                valid := and(valid, and(eq(returndatasize(), 32), eq(mload(0), 1)))
            }
        }
    }

    /// @dev Maps an element of the field to the curve as RFC 9380, section 6.6.1 does (Shallue and van de Woestijne, Z = 1): of three candidates x, the
    /// first for which g(x) = x³ + 3 is a square; y is its root of the parity of u. `hints`: 1/((1 + 4u²)(1 - 4u²)), then for each candidate up to that
    /// one the root of g(x), or of -g(x) where g(x) is no square: one of the two is, as p = 3 mod 4. So nothing is inverted here, and no root computed.
    /// `u` is below p; the two of 2^254 for which there is no inverse have no valid hints.
    function mapToG1(uint256 u, uint256[4] calldata hints) internal pure returns (bool valid, G1Point memory point) {
        // Of numbers below p, which is below 2^254.
        unchecked {
            uint256 square = mulmod(4, mulmod(u, u, P), P);
            (uint256 plus, uint256 minus) = (1 + square, P + 1 - square);
            if (mulmod(mulmod(plus, minus, P), hints[0], P) != 1) return (false, point);
            uint256 shift = mulmod(mulmod(mulmod(u, minus, P), hints[0], P), MAP_C3, P);
            uint256 x = addmod(MAP_C2, P - shift, P);
            (bool isSquare, bool isRoot) = _checkRoot(x, hints[1]);
            uint256 root = hints[1];
            if (isRoot && !isSquare) {
                (x, root) = (addmod(MAP_C2, shift, P), hints[2]);
                (isSquare, isRoot) = _checkRoot(x, root);
            }
            if (isRoot && !isSquare) {
                square = mulmod(mulmod(plus, plus, P), hints[0], P);
                (x, root) = (addmod(1, mulmod(MAP_C4, mulmod(square, square, P), P), P), hints[3]);
                (isSquare, isRoot) = _checkRoot(x, root);
            }
            point = G1Point(x, root & 1 == u & 1 ? root : P - root);
            valid = isSquare;
        }
    }

    /// Whether `root` is a root of g(x) or of -g(x), and if so, of which. Zero is no value of g.
    function _checkRoot(uint256 x, uint256 root) private pure returns (bool isSquare, bool isRoot) {
        uint256 value = addmod(mulmod(mulmod(x, x, P), x, P), 3, P);
        uint256 square = mulmod(root, root, P);
        isSquare = root < P && square == value;
        isRoot = isSquare || square == P - value;
    }

    /// @dev Whether `signature` is by the secret of `keyG2` over `hash`: e(signature, -G2)·e(hash, keyG2) = 1. The key is one for which `isKey`.
    /// False if a point is not one of its group.
    function isSignature(
        G1Point calldata signature,
        G2Point memory keyG2,
        G1Point memory hash
    ) internal view returns (bool valid) {
        uint256[12] memory pairs = [
            signature.x,
            signature.y,
            NEGATED_G2_X1,
            NEGATED_G2_X0,
            NEGATED_G2_Y1,
            NEGATED_G2_Y0,
            hash.x,
            hash.y,
            keyG2.x[0],
            keyG2.x[1],
            keyG2.y[0],
            keyG2.y[1]
        ];
        assembly ("memory-safe") {
            valid := staticcall(gas(), 8, pairs, 384, 0, 32)
            // A chain without the precompile answers nothing, and successfully.
            valid := and(valid, and(eq(returndatasize(), 32), eq(mload(0), 1)))
        }
    }

    /// @dev Whether it is a key: a point of the right group other than infinity, which would sign whatever anybody wants.
    function isKey(G2Point memory keyG2) internal view returns (bool valid) {
        if (keyG2.x[0] | keyG2.x[1] | keyG2.y[0] | keyG2.y[1] == 0) return false;
        // Infinity pairs to one with every point, and the precompile looks at both.
        uint256[6] memory pair = [0, 0, keyG2.x[0], keyG2.x[1], keyG2.y[0], keyG2.y[1]];
        assembly ("memory-safe") {
            valid := staticcall(gas(), 8, pair, 192, 0, 32)
            valid := and(valid, and(eq(returndatasize(), 32), eq(mload(0), 1)))
        }
    }
}
