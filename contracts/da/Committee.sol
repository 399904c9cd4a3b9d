// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @dev Members of one seat each hold 148 rows of 4·2^14: so many fit.
uint256 constant SEATS = 442;

/// @title Who sits on the committee of an epoch that has more signers than a code has room for
/// @notice All stakes in a row are cut into as many equal parts as there are seats, and a point is drawn in each part: whose stake it falls into has the
/// seat. So a signer has its part of the seats, less or more than one at either end, and no order of the signers helps anybody: the draws are independent.
library Committee {
    /// @dev Seats of a signer whose stake is `stake` of `total`, behind stakes of `before` in sum. None of them exceeds 2^96, `stake` and `total` are not 0.
    function seatsOf(bytes32 seed, uint256 before, uint256 stake, uint256 total) internal pure returns (uint256 seats) {
        unchecked {
            // Scaled by SEATS, so that parts are `total` long.
            (uint256 from, uint256 to) = (before * SEATS, (before + stake) * SEATS);
            (uint256 first, uint256 last) = (from / total, (to - 1) / total);
            uint256 point = _pointOf(seed, first, total);
            if (point >= from && point < to) seats = 1;
            if (first == last) return seats;
            // The parts between are all its own.
            seats += last - first - 1;
            if (_pointOf(seed, last, total) < to) ++seats;
        }
    }

    /// Where the point of a part is, counted from where the first part begins.
    function _pointOf(bytes32 seed, uint256 part, uint256 total) private pure returns (uint256) {
        return part * total + (uint256(keccak256(abi.encodePacked(seed, uint16(part)))) % total);
    }
}
