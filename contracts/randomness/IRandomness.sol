// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title Seeds nobody can choose
/// @notice Every caller has a chain of seeds of its own, so that nobody else can disturb it: each seed hashes the one before it, what the source
/// of randomness gives, and what the caller contributes.
interface IRandomness {
    event SeedDrawn(address indexed consumer, bytes32 seed);

    /// The source gives the same value again: this chain has none.
    error ConstantRandomness(uint256 value);

    /// @notice Draws the caller's next seed. `contribution`: anything hard to predict that the caller has at hand. Reverts ConstantRandomness.
    function draw(bytes32 contribution) external returns (bytes32 seed);
    /// @notice The last seed that `consumer` drew; 0 before the first.
    function seedOf(address consumer) external view returns (bytes32);
}
