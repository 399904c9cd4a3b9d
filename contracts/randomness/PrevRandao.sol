// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IRandomness} from "./IRandomness.sol";

/// @title Seeds from the beacon chain's randomness (EIP-4399)
/// @notice Immutable, without roles. Whoever proposes a block can withhold it, and so throw the dice once more at the price of a block; the caller's
/// contribution is what such a proposer should not be able to choose.
contract PrevRandao is IRandomness {
    struct Chain {
        bytes32 seed;
        /// What the last draw saw, and in which block.
        uint256 value;
        uint256 blockNumber;
    }

    mapping(address consumer => Chain) private _chains;

    /// @inheritdoc IRandomness
    function draw(bytes32 contribution, uint64) external returns (bytes32 seed) {
        Chain storage chain = _chains[msg.sender];
        uint256 value = block.prevrandao;
        // Chains without a beacon say 0 or 1, or the same in every block.
        require(value > 1 && (value != chain.value || block.number == chain.blockNumber), ConstantRandomness(value));
        seed = keccak256(abi.encode(chain.seed, value, contribution));
        (chain.seed, chain.value, chain.blockNumber) = (seed, value, block.number);
        emit SeedDrawn(msg.sender, seed);
    }

    /// @inheritdoc IRandomness
    function seedOf(address consumer) external view returns (bytes32) {
        return _chains[consumer].seed;
    }
}
