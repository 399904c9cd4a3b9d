// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {G1Point, G2Point} from "../lib/BN254.sol";
import {IRandomness} from "./IRandomness.sol";

/// @title Seeds from the rounds of a drand network
/// @notice Every `period` seconds the network signs the number of a round, and everybody can get that signature. Nobody knows it before: it takes a
/// threshold of the network's operators, and there is only one. Rounds count from 1, at `genesisTime`.
interface IDrand is IRandomness {
    /// `consumer` asked for a seed, which follows from `round`.
    event RoundAwaited(address indexed consumer, uint64 indexed round);
    /// `value`: SHA-256 of the signature, which the network calls the round's randomness.
    event RoundSubmitted(uint64 indexed round, bytes32 value);

    error InvalidPublicKey();
    error ZeroPeriod();
    error RoundKnown(uint64 round);
    error InvalidSignature(uint64 round);

    /// @notice Brings the signature of a round. Anyone, any round. `hints`: see `BN254.mapToG1`, for each of the two field elements that the round is
    /// hashed to. Reverts RoundKnown, InvalidSignature; the latter also for wrong hints.
    function submit(uint64 round, G1Point calldata signature, uint256[4][2] calldata hints) external;

    /// @notice The round that the next seed of `consumer` follows from; 0 if it did not ask for one.
    function awaitedBy(address consumer) external view returns (uint64 round);
    /// @notice SHA-256 of the signature of a round; 0 until somebody brought it.
    function randomnessOf(uint64 round) external view returns (bytes32);
    /// @notice When the network signs a round, from 1 on (unix seconds).
    function timeOf(uint64 round) external view returns (uint256);

    /// @notice The key of the network.
    function publicKey() external view returns (G2Point memory);
    /// @notice When it signed round 1 (unix seconds).
    function genesisTime() external view returns (uint64);
    /// @notice Seconds between rounds.
    function period() external view returns (uint64);
    /// @notice Seconds that a round is ahead of the block in which it is asked for, at least: by more than the clock of the chain may be behind, and
    /// than blocks take to be final.
    function delay() external view returns (uint64);
}
