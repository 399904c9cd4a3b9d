// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {IDAEpochs} from "./IDAEpochs.sol";

/// @title Members of an epoch, kept as the code of contracts
/// @notice 128 bytes each: key x ‖ key y ‖ account, weight ‖ id, first slot by code (16 bits each: where a code fits, they do).
/// To read a key costs a hundred gas here, beside 4,700 once for 128 members; three slots of storage would cost 6,300 for each.
library MemberCode {
    uint256 internal constant SIZE = 128;
    /// Members of one contract.
    uint256 internal constant PER_CHUNK = 128;
    /// Where the key begins; a STOP comes before everything.
    uint256 private constant DATA = 1;

    /// What says whose a row is, in one code.
    struct Share {
        address account;
        uint256 weight;
        uint256 firstSlot;
    }

    /// @dev Writes `member` as the one at `position` of a chunk.
    function put(bytes memory chunk, uint256 position, IDAEpochs.Member memory member) internal pure {
        uint256 tail = uint256(member.id) << 128;
        for (uint256 code = 0; code < 5; ++code) tail |= uint256(uint16(member.firstSlot[code])) << (112 - 16 * code);
        (uint256 x, uint256 y) = (member.key.x, member.key.y);
        uint256 weighed = (uint256(uint160(member.account)) << 96) | member.weight;
        assembly ("memory-safe") {
            let word := add(add(chunk, 32), mul(position, SIZE))
            mstore(word, x)
            mstore(add(word, 32), y)
            mstore(add(word, 64), weighed)
            mstore(add(word, 96), tail)
        }
    }

    /// @dev The member at `position` of the chunk that is the code of `pointer`.
    function get(address pointer, uint256 position) internal view returns (IDAEpochs.Member memory member) {
        uint256 x;
        uint256 y;
        uint256 weighed;
        uint256 tail;
        assembly ("memory-safe") {
            let free := mload(0x40)
            extcodecopy(pointer, free, add(DATA, mul(position, SIZE)), SIZE)
            x := mload(free)
            y := mload(add(free, 32))
            weighed := mload(add(free, 64))
            tail := mload(add(free, 96))
        }
        (member.key.x, member.key.y) = (x, y);
        (member.account, member.weight) = (address(uint160(weighed >> 96)), uint96(weighed));
        member.id = uint32(tail >> 128);
        for (uint256 code = 0; code < 5; ++code) member.firstSlot[code] = uint16(tail >> (112 - 16 * code));
    }

    /// @dev The account of the member at `position`, and its weight.
    function holder(address pointer, uint256 position) internal view returns (address account, uint256 weight) {
        uint256 word;
        assembly ("memory-safe") {
            extcodecopy(pointer, 0, add(add(DATA, 64), mul(position, SIZE)), 32)
            word := mload(0)
        }
        return (address(uint160(word >> 96)), uint96(word));
    }

    /// @dev The share of the member at `position`.
    function shareOf(address pointer, uint256 position, uint256 code) internal view returns (Share memory share) {
        uint256 owner;
        uint256 tail;
        assembly ("memory-safe") {
            extcodecopy(pointer, 0, add(add(DATA, 64), mul(position, SIZE)), 64)
            owner := mload(0)
            tail := mload(32)
        }
        (share.account, share.weight) = (address(uint160(owner >> 96)), uint96(owner));
        share.firstSlot = uint16(tail >> (112 - 16 * code));
    }

    /// @dev The key of the member at `position`, and its weight.
    function keyOf(address pointer, uint256 position) internal view returns (uint256 x, uint256 y, uint256 weight) {
        assembly ("memory-safe") {
            let free := mload(0x40)
            extcodecopy(pointer, free, add(DATA, mul(position, SIZE)), 96)
            x := mload(free)
            y := mload(add(free, 32))
            weight := mload(add(free, 64))
        }
        weight = uint96(weight);
    }
}
