// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IPoraMine, RecallRange} from "./IPoraMine.sol";
import {Pora} from "./Pora.sol";

/// @title The part of the log that one answer mines
/// @notice A range starts at a multiple of `ALIGNMENT` and is as long as the log or the limit of its shards allows: whoever stores little
/// shall not raise their odds by mining a narrow range.
library RecallRanges {
    uint256 private constant ALIGNMENT = 1 << 25;
    /// Sectors one shard mines at most (8 TiB).
    uint256 private constant MAX_LENGTH = 1 << 35;

    /// @notice How many shards the log is split into; reverts InvalidRange unless the mask keeps all high bits and drops the `shardId` ones.
    function numShards(RecallRange calldata range) internal pure returns (uint256 shards) {
        unchecked {
            shards = (1 << 64) - uint256(range.shardMask); // mask < 2^64, so 1 ≤ shards ≤ 2^64
            require(shards & (shards - 1) == 0 && range.shardId & range.shardMask == 0, IPoraMine.InvalidRange());
        }
    }

    /// @notice Reverts InvalidRange unless the range is one that a log of `flowLength` sectors allows.
    function check(RecallRange calldata range, uint256 flowLength, uint256 shards) internal pure {
        uint256 start = range.startPosition;
        uint256 length = range.mineLength;
        uint256 whole = flowLength - (flowLength % Pora.SECTORS_PER_LOAD);
        unchecked {
            uint256 limit = MAX_LENGTH * shards; // shards ≤ 2^64
            // bounding `start` and `length` first keeps their sum from wrapping
            bool inside = start <= whole && length <= whole && start + length <= whole;
            bool wide = length >= (whole < limit ? whole : limit) && length <= limit;
            require(
                inside && wide && length >= Pora.SECTORS_PER_LOAD && start % ALIGNMENT == 0,
                IPoraMine.InvalidRange()
            );
        }
    }

    /// @notice What the seed of an answer commits to.
    function digest(RecallRange calldata range) internal pure returns (bytes32 hash) {
        assembly ("memory-safe") {
            let at := mload(0x40)
            // the four fields, in order, are four words of calldata; `numShards` has read the short ones and so checked them
            calldatacopy(at, range, 128)
            hash := keccak256(at, 128)
        }
    }

    /// @notice First sector of the load that `recallSeed` chooses.
    function load(RecallRange calldata range, bytes32 recallSeed) internal pure returns (uint256) {
        unchecked {
            uint256 offset = uint256(recallSeed) % (range.mineLength / Pora.SECTORS_PER_LOAD); // not zero: `check`
            return range.startPosition + ((offset & range.shardMask) | range.shardId) * Pora.SECTORS_PER_LOAD;
        }
    }

    /// @notice What the quality must not exceed: the target of the whole network, made stricter for a miner who tries less than one
    /// whole range per nonce.
    function target(uint256 poraTarget, uint256 flowLength, uint256 shards) internal pure returns (uint256) {
        unchecked {
            // flowLength ≥ 1024 ≥ shards (`check`, PoraMine), so the divisor is not zero and scale ≥ 2^64, which bounds the shift
            uint256 own = flowLength / shards;
            uint256 scale =
                ((flowLength < MAX_LENGTH ? flowLength : MAX_LENGTH) << 64) / (own < MAX_LENGTH ? own : MAX_LENGTH);
            return (poraTarget / scale) << 64;
        }
    }
}
