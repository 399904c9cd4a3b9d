// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {TcbStatus} from "./TcbStatus.sol";

/// @title TDX modules and TCB levels of one FMSPC, as bytes
/// @notice What of a TCB info bears on quotes, packed so that it can be kept as the code of a contract and read at once:
///
///     table  = number of modules (1) ‖ modules ‖ number of levels (1) ‖ levels, each list in Intel's order
///     module = version (1) ‖ MRSIGNERSEAM (48) ‖ attributes (8) ‖ attributes mask (8) ‖ number of levels (1) ‖ { isvsvn (2) ‖ status (1) }
///     level  = SGX component SVNs (16) ‖ TDX component SVNs (16) ‖ PCE SVN (2) ‖ status (1)
///
/// Version 0 is the module of the field `tdxModule`, which has no levels of its own. Numbers are big-endian.
library TcbTable {
    uint256 private constant MODULE = 66;
    uint256 private constant MODULE_LEVEL = 3;
    uint256 private constant LEVEL = 35;

    /// The highest bit of every byte.
    uint256 private constant HIGH_BITS = 0x8080808080808080808080808080808080808080808080808080808080808080;
    /// Of SGX components ‖ TDX components: all but the first two of TDX, which are the module's own SVN and version.
    uint256 private constant WITHOUT_MODULE = ~(uint256(0xffff) << 112);

    /// @dev Finds a TDX module. `module` is where it lies in the table, for the functions below.
    function find(bytes memory table, uint256 version) internal pure returns (bool found, uint256 module) {
        unchecked {
            // a table that this library wrote
            uint256 modules = _number(table, 0, 1);
            module = 1;
            for (uint256 i; i < modules; ++i) {
                if (_number(table, module, 1) == version) return (true, module);
                module += MODULE + _number(table, module + 65, 1) * MODULE_LEVEL;
            }
        }
    }

    /// @dev Whether a report's MRSIGNERSEAM (48 bytes, in two parts) and SEAM attributes are those of the module.
    function matches(
        bytes memory table,
        uint256 module,
        bytes32 signerHigh,
        bytes16 signerLow,
        bytes8 attributes
    ) internal pure returns (bool) {
        unchecked {
            uint256 mask = _number(table, module + 57, 8);
            return
                bytes32(_number(table, module + 1, 32)) == signerHigh &&
                bytes16(uint128(_number(table, module + 33, 16))) == signerLow &&
                uint64(attributes) & mask == _number(table, module + 49, 8) & mask;
        }
    }

    /// @dev Status of a module by its own levels: of the first that `isvSvn` reaches.
    function moduleStatus(
        bytes memory table,
        uint256 module,
        uint256 isvSvn
    ) internal pure returns (bool found, TcbStatus status) {
        unchecked {
            uint256 levels = _number(table, module + 65, 1);
            uint256 level = module + MODULE;
            for (uint256 i; i < levels; ++i) {
                if (isvSvn >= _number(table, level, 2)) return (true, TcbStatus(_number(table, level + 2, 1)));
                level += MODULE_LEVEL;
            }
        }
    }

    /// @dev Status of a platform: of the first level that it reaches in every part. Where the TDX module has levels of its own, the first two
    /// TDX components are left to those.
    function platformStatus(
        bytes memory table,
        bytes16 cpuSvn,
        uint256 pceSvn,
        bytes16 tcbSvn
    ) internal pure returns (bool found, TcbStatus status) {
        unchecked {
            uint256 level = 1;
            for (uint256 i = _number(table, 0, 1); i != 0; --i)
                level += MODULE + _number(table, level + 65, 1) * MODULE_LEVEL;
            uint256 levels = _number(table, level, 1);
            ++level;
            uint256 svns = (uint256(uint128(cpuSvn)) << 128) | uint128(tcbSvn);
            uint256 considered = uint8(tcbSvn[1]) == 0 ? type(uint256).max : WITHOUT_MODULE;
            for (uint256 i; i < levels; ++i) {
                if (reaches(svns, _number(table, level, 32) & considered) && pceSvn >= _number(table, level + 32, 2))
                    return (true, TcbStatus(_number(table, level + 34, 1)));
                level += LEVEL;
            }
        }
    }

    /// @dev Whether each of the 32 bytes of `svns` is at least that of `required`, all at once: with its highest bit set no byte borrows from the
    /// next when the lower seven bits are subtracted; what is left of that bit compares those, and the highest bits are compared by themselves.
    function reaches(uint256 svns, uint256 required) internal pure returns (bool) {
        unchecked {
            uint256 lower = (svns | HIGH_BITS) - (required & ~HIGH_BITS);
            uint256 atLeast = (svns & ~required) | (~(svns ^ required) & lower);
            return atLeast & HIGH_BITS == HIGH_BITS;
        }
    }

    /// The number that `size` bytes at `offset` make.
    function _number(bytes memory table, uint256 offset, uint256 size) private pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), mload(add(add(table, 0x20), offset)))
        }
    }
}
