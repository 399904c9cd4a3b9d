// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Hashes} from "@openzeppelin/contracts/utils/cryptography/Hashes.sol";
import {Math} from "@openzeppelin/contracts/utils/math/Math.sol";

/// @title The Merkle tree over the sectors of the log
/// @notice Only the peaks are stored: for every bit k set in the length, the root of the perfect subtree of 2^k sectors
/// that this bit stands for. Appending costs one write and one hash per carried peak; the root is folded from the peaks on
/// demand. Inner nodes are keccak256(left ‖ right), and sectors not (yet) written count as 256 zero bytes.
library FlowTree {
    using FlowTree for Peaks;

    struct Peaks {
        /// Stale where the bit of the length is not set.
        bytes32[64] roots;
    }

    /// keccak256 of a sector of 256 zero bytes.
    bytes32 internal constant EMPTY_SECTOR = 0xd397b3b043d87fcd6fad1291ff0bfd16401c274896d8c63a923727f077b8e0b5;

    /// @dev Appends the perfect subtree `node` of 2^height sectors to a log whose `length` is a multiple of 2^height.
    function append(Peaks storage peaks, uint256 length, bytes32 node, uint256 height) internal returns (uint256) {
        uint256 level = height;
        while ((length >> level) & 1 == 1) node = Hashes.efficientKeccak256(peaks.roots[level++], node);
        peaks.roots[level] = node;
        return length + (1 << height);
    }

    /// @dev Fills a log up to the next multiple of 2^height with empty sectors.
    function pad(Peaks storage peaks, uint256 length, uint256 height) internal returns (uint256) {
        uint256 whole = (length >> height) << height;
        if (whole == length) return length;
        return peaks.append(whole, peaks.fold(length, height), height);
    }

    /// @dev Root of the smallest perfect tree that holds a log of `length` ≥ 1 sectors.
    function root(Peaks storage peaks, uint256 length) internal view returns (bytes32) {
        uint256 height = Math.log2(length);
        if (length == 1 << height) return peaks.roots[height];
        return peaks.fold(length, height + 1);
    }

    /// @dev Root of the perfect tree of 2^height sectors in which the log ends, the rest of it empty. The end must not be
    /// on a multiple of 2^height. `node` is the subtree right of all peaks folded so far: empty below the lowest peak.
    function fold(Peaks storage peaks, uint256 length, uint256 height) internal view returns (bytes32 node) {
        bytes32 empty = EMPTY_SECTOR;
        uint256 level = 0;
        for (; (length >> level) & 1 == 0; ++level) empty = Hashes.efficientKeccak256(empty, empty);
        node = empty;
        for (; level < height; ++level) {
            node =
                (length >> level) & 1 == 1
                    ? Hashes.efficientKeccak256(peaks.roots[level], node)
                    : Hashes.efficientKeccak256(node, empty);
            empty = Hashes.efficientKeccak256(empty, empty);
        }
    }
}
