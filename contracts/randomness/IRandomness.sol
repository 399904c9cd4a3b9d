// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Seeds nobody can choose
/// @notice Every caller has a chain of seeds of its own, so that nobody else can disturb it: each seed hashes the one before it, what the source
/// of randomness gives, and what the caller contributes.
interface IRandomness {
    event SeedDrawn(address indexed consumer, bytes32 seed);

    /// The source gives the same value again: this chain has none.
    error ConstantRandomness(uint256 value);
    /// What the seed is going to follow from is settled and not here yet; nobody knows it before `readyAt` (unix seconds).
    error SeedNotReady(uint256 readyAt);

    /// @notice Draws the caller's next seed. A source that needs time gives 0 at first: what the seed is going to follow from is settled by that,
    /// this contribution included, and the caller asks again until it has one. `contribution`: anything hard to predict that the caller has at hand.
    /// `since`: when the first of what must not be chosen by the seed was settled (unix seconds); what was asked for before that is forgotten.
    /// Reverts ConstantRandomness, SeedNotReady.
    function draw(bytes32 contribution, uint64 since) external returns (bytes32 seed);
    /// @notice The last seed that `consumer` drew; 0 before the first.
    function seedOf(address consumer) external view returns (bytes32);
}
