// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title How hard mining is
/// @notice The target that a proof's quality must not exceed follows the number of answers per epoch. Computed without the lowest 16 bits,
/// which leaves room for the sums.
library Difficulty {
    uint256 private constant MAX = type(uint256).max >> 16;

    /// Epochs without an answer that ease the target at most, in one adjustment.
    uint256 internal constant MAX_IDLE_EPOCHS = 64;

    /// @notice The target after an epoch with `submissions` answers and then `idleEpochs` with none: each epoch moves it by 1/`ratio` of
    /// the way to what would have brought `targetSubmissions` answers, at most by a factor of two, never above max / `minDifficulty`.
    /// @param submissions 1 to 65535
    /// @param targetSubmissions 1 to 32767
    /// @param ratio 1 to 255
    /// @param minDifficulty at least 1
    function adjust(
        uint256 target,
        uint256 submissions,
        uint256 targetSubmissions,
        uint256 ratio,
        uint256 idleEpochs,
        uint256 minDifficulty
    ) internal pure returns (uint256) {
        unchecked {
            uint256 scaled = target >> 16; // < 2^240
            scaled = _towards(scaled, (scaled * targetSubmissions) / submissions, ratio); // < 2^255
            uint256 max = type(uint256).max / minDifficulty;
            if (idleEpochs > MAX_IDLE_EPOCHS) idleEpochs = MAX_IDLE_EPOCHS;
            for (uint256 i; i < idleEpochs && scaled < max >> 16; ++i) scaled = _towards(scaled, MAX, ratio);
            target = scaled << 16;
            return target < max ? target : max;
        }
    }

    /// @param scaled below 2^240, so that 255 times it, plus `expected` below 2^255, does not overflow
    function _towards(uint256 scaled, uint256 expected, uint256 ratio) private pure returns (uint256 moved) {
        unchecked {
            moved = (scaled * (ratio - 1) + expected) / ratio;
            if (moved > scaled * 2) moved = scaled * 2;
            if (moved < scaled / 2) moved = scaled / 2;
            if (moved > MAX) moved = MAX;
        }
    }
}
