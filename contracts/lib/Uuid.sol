// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @title UUIDs (RFC 9562) as 16 bytes
library Uuid {
    uint256 private constant LENGTH = 36;
    /// A bit for every position of a hyphen: 8, 13, 18 and 23.
    uint256 private constant HYPHENS = (1 << 8) | (1 << 13) | (1 << 18) | (1 << 23);
    bytes16 private constant DIGITS = "0123456789abcdef";

    error InvalidUuid(string text);

    /// @dev Reads the usual text form, in either case. Reverts InvalidUuid.
    function parse(string calldata text) internal pure returns (bytes16) {
        bytes calldata characters = bytes(text);
        require(characters.length == LENGTH, InvalidUuid(text));
        uint256 value = 0;
        // 32 digits are shifted in, 4 bits each.
        unchecked {
            for (uint256 i = 0; i < LENGTH; ++i) {
                uint256 character = uint8(characters[i]);
                if ((HYPHENS >> i) & 1 != 0) {
                    require(character == 0x2d, InvalidUuid(text));
                    continue;
                }
                uint256 digit = character - 0x30;
                if (digit > 9) {
                    // Sets the bit that tells "a" from "A".
                    digit = (character | 0x20) - 0x61;
                    require(digit < 6, InvalidUuid(text));
                    digit += 10;
                }
                value = (value << 4) | digit;
            }
        }
        return bytes16(uint128(value));
    }

    /// @dev The usual text form, in lower case.
    function format(bytes16 uuid) internal pure returns (string memory text) {
        bytes memory characters = new bytes(LENGTH);
        uint256 value = uint128(uuid);
        for (uint256 i = LENGTH; i > 0; --i) {
            if ((HYPHENS >> (i - 1)) & 1 != 0) {
                characters[i - 1] = "-";
                continue;
            }
            characters[i - 1] = DIGITS[value & 15];
            value >>= 4;
        }
        return string(characters);
    }
}
