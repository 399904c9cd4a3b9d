// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title How many rows each member holds
/// @notice Code j has K = 64·4^j original rows and T = 4K in all. At least s of them are needed for a check of one's own rows to convince, except with
/// probability 2^-100 (hypergeometric: see docs/da.md); at K rows a member has the whole blob.
library RowShares {
    uint256 internal constant CODES = 5;
    /// s by code.
    bytes5 private constant LEAST_ROWS = 0x6987919394;

    /// @dev min(K, max(s, ceil(3K·weight / total))). `weight` is at most `total`, which is not 0 and fits 96 bits.
    function rowsOf(uint256 code, uint256 weight, uint256 total) internal pure returns (uint256 rows) {
        unchecked {
            uint256 k = 64 << (2 * code);
            rows = (3 * k * weight + total - 1) / total;
            uint256 least = uint8(LEAST_ROWS[code]);
            if (rows < least) rows = least;
            // 64 rows are fewer than s.
            if (rows > k) rows = k;
        }
    }

    /// @dev T.
    function totalRows(uint256 code) internal pure returns (uint256) {
        return 256 << (2 * code);
    }

    /// @dev The code of K = 2^log2K, or CODES where there is none.
    function codeOf(uint8 log2K) internal pure returns (uint256 code) {
        if (log2K < 6 || log2K > 14 || log2K % 2 != 0) return CODES;
        return (log2K - 6) / 2;
    }
}
