// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IFlow, SubmissionData, SubmissionNode} from "./IFlow.sol";

/// @title Rules of a single submission
/// @notice A file of n bytes is padded to p sectors, p being a sum of at most four descending powers of two: the heights
/// of its nodes. The rules admit exactly the paddings that the public clients produce.
library Submissions {
    uint256 internal constant SECTOR = 256;
    /// Sectors of a segment, the unit in which files are transferred: none may straddle two segments unless it starts one.
    uint256 internal constant SEGMENT_HEIGHT = 10;
    uint256 private constant MAX_HEIGHT = 63;
    uint256 private constant MAX_HEIGHT_DROP = 3;

    /// @dev Sectors of a submission. Reverts InvalidSubmission unless heights descend strictly within MAX_HEIGHT_DROP of
    /// the first, and the byte length is one that needs this padding and no less.
    function validSectors(SubmissionData calldata data) internal pure returns (uint256 sectors) {
        SubmissionNode[] calldata nodes = data.nodes;
        uint256 count = nodes.length;
        require(count != 0, IFlow.InvalidSubmission());
        uint256 top = nodes[0].height;
        require(top <= MAX_HEIGHT, IFlow.InvalidSubmission());
        sectors = 1 << top;
        uint256 above = top;
        for (uint256 i = 1; i < count; ++i) {
            uint256 height = nodes[i].height;
            require(height < above && top <= height + MAX_HEIGHT_DROP, IFlow.InvalidSubmission());
            sectors += 1 << height;
            above = height;
        }
        uint256 tooShort;
        if (sectors < 16) tooShort = sectors - 1;
        else if (count == 1) tooShort = sectors - sectors / 16;
        else tooShort = sectors - (1 << (top - MAX_HEIGHT_DROP));
        require(data.length <= SECTOR * sectors && data.length > SECTOR * tooShort, IFlow.InvalidSubmission());
    }

    /// @dev keccak256 of the concatenated node roots.
    function identity(SubmissionNode[] calldata nodes) internal pure returns (bytes32) {
        uint256 count = nodes.length;
        if (count == 1) return keccak256(abi.encode(nodes[0].root));
        bytes32[] memory roots = new bytes32[](count);
        for (uint256 i = 0; i < count; ++i) roots[i] = nodes[i].root;
        return keccak256(abi.encodePacked(roots));
    }

    /// @dev Height to whose multiple a log of `length` sectors is padded before this submission: that of its first node,
    /// or of a segment if it would otherwise straddle two. What starts a segment and is lower than one fits into it.
    function alignment(uint256 length, uint256 top, uint256 sectors) internal pure returns (uint256) {
        if (top >= SEGMENT_HEIGHT) return top;
        uint256 first = ((length + (1 << top) - 1) >> top) << top;
        bool straddles = first >> SEGMENT_HEIGHT != (first + sectors - 1) >> SEGMENT_HEIGHT;
        return straddles ? SEGMENT_HEIGHT : top;
    }
}
