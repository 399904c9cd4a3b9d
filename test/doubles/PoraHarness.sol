// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Difficulty} from "../../contracts/storage/Difficulty.sol";
import {RecallRange} from "../../contracts/storage/IPoraMine.sol";
import {Pora} from "../../contracts/storage/Pora.sol";
import {RecallRanges} from "../../contracts/storage/RecallRanges.sol";

/// Makes the internal functions of the proof callable one by one.
contract PoraHarness {
    using RecallRanges for RecallRange;

    function padSeed(
        bytes32 minerId,
        bytes32 nonce,
        bytes32 subtaskDigest,
        bytes32 rangeDigest
    ) external view returns (bytes32, bytes32) {
        return Pora.padSeed(minerId, nonce, subtaskDigest, rangeDigest);
    }

    function evaluate(
        bytes32 seed0,
        bytes32 seed1,
        uint256 sealOffset,
        bytes32[128] calldata sealedData
    ) external view returns (bytes32 recallSeed, bytes32 quality) {
        return Pora.evaluate(seed0, seed1, sealOffset, sealedData);
    }

    function sealRoot(
        bytes32 minerId,
        bytes32 contextDigest,
        uint256 position,
        bytes32[128] calldata sealedData
    ) external pure returns (bytes32) {
        return Pora.sealRoot(minerId, contextDigest, position, sealedData);
    }

    function flowRoot(bytes32 node, uint256 index, bytes32[] calldata siblings) external pure returns (bytes32) {
        return Pora.flowRoot(node, index, siblings);
    }

    function numShards(RecallRange calldata range) external pure returns (uint256) {
        return range.numShards();
    }

    function check(RecallRange calldata range, uint256 flowLength) external pure {
        range.check(flowLength, range.numShards());
    }

    function digest(RecallRange calldata range) external pure returns (bytes32) {
        return range.digest();
    }

    function load(RecallRange calldata range, bytes32 recallSeed) external pure returns (uint256) {
        return range.load(recallSeed);
    }

    function shardTarget(uint256 poraTarget, uint256 flowLength, uint256 shards) external pure returns (uint256) {
        return RecallRanges.target(poraTarget, flowLength, shards);
    }

    function adjust(
        uint256 poraTarget,
        uint256 submissions,
        uint256 targetSubmissions,
        uint256 ratio,
        uint256 idleEpochs,
        uint256 minDifficulty
    ) external pure returns (uint256) {
        return Difficulty.adjust(poraTarget, submissions, targetSubmissions, ratio, idleEpochs, minDifficulty);
    }
}
