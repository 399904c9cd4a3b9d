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
