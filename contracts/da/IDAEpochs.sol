// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {G1Point} from "../lib/BN254.sol";

/// @title Who signs in which epoch, with which weight, and which rows are whose
/// @notice The members of an epoch, their keys, weights and shares of the rows are frozen when it is built, in steps that anyone may take; the seed is
/// drawn when all stakes are read, and for a committee in a later block. Times in seconds, weights in wei of bonded stake.
/// Rows of a blob with K originals (T = 4K in all): member i holds min(K, max(s, ceil(3K·weight/total))) of them, those at the slots
/// [firstSlot(i), firstSlot(i + 1)) of the blob's permutation of rows (see `Assignment`). A code fits an epoch if all shares together fit T.
/// Where not even the largest code fits all signers, the epoch has a committee: 442 seats are drawn by stake and seed (see `Committee`), members are
/// those who have seats, and their weights are seats.
interface IDAEpochs {
    struct Epoch {
        uint64 startedAt;
        uint32 members;
        /// Bit j: a blob may have K = 64·4^j.
        uint8 codes;
        /// Weights are seats.
        bool committee;
        uint96 totalWeight;
        bytes32 seed;
        G1Point aggregateKey;
    }

    struct Member {
        uint32 id;
        address account;
        uint96 weight;
        G1Point key;
        /// By code, K = 64·4^j; where a code does not fit, nothing is meant by it.
        uint32[5] firstSlot;
    }

    event EpochStarted(uint64 indexed epoch, bytes32 seed, uint32 members, uint96 totalWeight, uint8 codes);
    event MinSignersChanged(uint32 minSigners);

    /// The next epoch is not due, and the current one has members.
    error EpochNotDue(uint64 dueAt);
    error TooFewSigners(uint256 active, uint256 min);
    error UnknownEpoch(uint64 epoch);
    error InvalidCode(uint8 log2K);
    /// The seats of a committee are drawn by a later block's randomness.
    error StakesJustRead(uint256 blockNumber);
    error ZeroMinSigners();
    error InvalidEpochLength(uint64 epochLength);

    /// @notice Takes `steps` steps (a signer read, drawn or written each) towards the next epoch, and begins it if that was all. Anyone. Members are written 128
    /// at once, so a call may take up to 127 steps more. To read one takes some 12,000 gas, to write one 40,000. What is not complete after a day starts over, as stake may leave that was read then; and where
    /// too few are left of those that were read, none begins. Reverts EpochNotDue, TooFewSigners, StakesJustRead.
    function advance(uint256 steps) external returns (bool started);

    /// @notice The epoch that new certificates are made in; 0 before the first.
    function currentEpoch() external view returns (uint64);
    /// @notice When the next epoch is due (unix seconds).
    function nextEpochAt() external view returns (uint64);
    function epochLength() external view returns (uint64);
    /// @notice How many signers an epoch needs to begin.
    function minSigners() external view returns (uint32);
    /// @notice Changes that. Governor. Reverts ZeroMinSigners.
    function setMinSigners(uint32 minSigners) external;
    /// @notice An epoch, for good; zeros for one that did not begin yet.
    function epochInfo(uint64 epoch) external view returns (Epoch memory);
    /// @notice Members `from` to `from + count` (as far as there are) of an epoch. Reverts UnknownEpoch.
    function members(uint64 epoch, uint256 from, uint256 count) external view returns (Member[] memory);
    /// @notice Whether member `index` of `epoch` must hold `row` of a blob. Reverts UnknownEpoch, InvalidCode.
    function holds(uint64 epoch, uint256 index, bytes32 blobId, uint8 log2K, uint32 row) external view returns (bool);
}
