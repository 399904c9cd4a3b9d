// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Der} from "./Der.sol";

/// @title A cursor over JSON without spaces
/// @notice For documents whose signature has been checked: the form that Intel signs, compact and without escapes. Anything else is refused, never guessed.
library Json {
    using Der for bytes;

    struct Cursor {
        bytes source;
        /// Offset of the next byte.
        uint256 offset;
    }

    uint256 private constant QUOTE = 0x22;
    uint256 private constant COMMA = 0x2c;
    uint256 private constant MAX_NUMBER = type(uint64).max;

    error InvalidJson(uint256 offset);
    error InvalidDigit(uint256 character);
    error InvalidField(bytes32 key);

    function open(bytes memory text) internal pure returns (Cursor memory) {
        return Cursor({source: text, offset: 0});
    }

    /// @dev Nothing follows.
    function finish(Cursor memory self) internal pure {
        require(self.offset == self.source.length, InvalidJson(self.offset));
    }

    /// @dev Enters an object or an array, "{" or "[", that is not empty.
    function enter(Cursor memory self, bytes1 opening) internal pure {
        require(tryEnter(self, opening), InvalidJson(self.offset));
    }

    /// @dev Enters an object or an array, "{" or "[". Gives false if it is empty, and is behind it then.
    function tryEnter(Cursor memory self, bytes1 opening) internal pure returns (bool) {
        _take(self, uint8(opening));
        unchecked {
            // "}" and "]" are two behind "{" and "["
            if (peek(self) != uint256(uint8(opening)) + 2) return true;
            ++self.offset; // below the length
        }
        return false;
    }

    /// @dev Behind a value in an object or an array: passes the comma, or the closing bracket and gives false.
    function more(Cursor memory self, bytes1 closing) internal pure returns (bool) {
        if (peek(self) == COMMA) {
            unchecked {
                ++self.offset; // below the length
            }
            return true;
        }
        _take(self, uint8(closing));
        return false;
    }

    /// @dev The key of the next member of an object, at most 31 bytes, and passes the colon.
    function key(Cursor memory self) internal pure returns (bytes32 name) {
        name = word(self);
        _take(self, 0x3a);
    }

    /// @dev A string of at most 31 bytes, as a literal of Solidity would be.
    function word(Cursor memory self) internal pure returns (bytes32 value) {
        (uint256 first, uint256 size) = _text(self);
        require(size <= 31, InvalidJson(first));
        unchecked {
            if (size != 0) value = bytes32(self.source.bigEndian(first, size) << (256 - 8 * size));
        }
    }

    /// @dev keccak256 of a string.
    function textHash(Cursor memory self) internal pure returns (bytes32 hash) {
        (uint256 first, uint256 size) = _text(self);
        bytes memory source = self.source;
        assembly ("memory-safe") {
            hash := keccak256(add(add(source, 0x20), first), size)
        }
    }

    /// @dev A number without sign, fraction and exponent, of at most 64 bits.
    function number(Cursor memory self) internal pure returns (uint256 value) {
        unchecked {
            uint256 first = self.offset;
            while (true) {
                uint256 unit = peek(self) - 0x30; // what is below "0" wraps
                if (unit > 9) break;
                value = value * 10 + unit; // 64 bits before, so no more than 68
                require(value <= MAX_NUMBER, InvalidJson(first));
                ++self.offset; // below the length
            }
            uint256 digits = self.offset - first;
            // no leading zero
            require(digits == 1 || (digits != 0 && self.source.byteAt(first) != 0x30), InvalidJson(first));
        }
    }

    /// @dev A number of at most 16 bits.
    function number16(Cursor memory self) internal pure returns (uint16) {
        uint256 value = number(self);
        require(value <= type(uint16).max, InvalidJson(self.offset));
        return uint16(value);
    }

    /// @dev A string of exactly `size` bytes in hexadecimal digits, of either case; at most 32 bytes. The last of them is the lowest.
    function hexadecimal(Cursor memory self, uint256 size) internal pure returns (uint256 value) {
        (uint256 first, uint256 digits) = _text(self);
        unchecked {
            require(digits == 2 * size, InvalidJson(first)); // sizes are literals
            for (uint256 i = first; i < first + digits; ++i) value = (value << 4) | digit(self.source.byteAt(i));
        }
    }

    /// @dev A string of exactly `size` bytes in hexadecimal digits.
    function hexadecimalBytes(Cursor memory self, uint256 size) internal pure returns (bytes memory value) {
        (uint256 first, uint256 digits) = _text(self);
        require(digits == 2 * size, InvalidJson(first));
        value = new bytes(size);
        unchecked {
            for (uint256 i; i < size; ++i) {
                uint256 pair = self.source.bigEndian(first + 2 * i, 2); // in the text
                value[i] = bytes1(uint8((digit(pair >> 8) << 4) | digit(pair & 0xff)));
            }
        }
    }

    /// @dev A string "2024-11-13T00:00:00Z", in unix seconds.
    function date(Cursor memory self) internal pure returns (uint256) {
        (uint256 first, uint256 size) = _text(self);
        bytes memory source = self.source;
        require(size == 20, InvalidJson(first));
        unchecked {
            // inside the 20 bytes
            uint256 separators =
                (source.byteAt(first + 4) << 40) |
                    (source.byteAt(first + 7) << 32) |
                    (source.byteAt(first + 10) << 24) |
                    (source.byteAt(first + 13) << 16) |
                    (source.byteAt(first + 16) << 8) |
                    source.byteAt(first + 19);
            require(bytes6(uint48(separators)) == "--T::Z", InvalidJson(first));
            return
                Der.timestamp(
                    source.twoDigits(first) * 100 + source.twoDigits(first + 2),
                    source.twoDigits(first + 5),
                    source.twoDigits(first + 8),
                    source.twoDigits(first + 11),
                    source.twoDigits(first + 14),
                    source.twoDigits(first + 17)
                );
        }
    }

    /// @dev Value of a hexadecimal digit, of either case.
    function digit(uint256 character) internal pure returns (uint256 value) {
        unchecked {
            value = character - 0x30; // what is below "0" wraps
            if (value <= 9) return value;
            value = (character | 0x20) - 0x61;
            require(value < 6, InvalidDigit(character));
            return value + 10;
        }
    }

    /// @dev Passes a value of any kind. Of arrays and objects it only counts the brackets.
    function skip(Cursor memory self) internal pure {
        uint256 depth;
        do {
            uint256 next = peek(self);
            require(next >= 0x20, InvalidJson(self.offset));
            if (next == QUOTE) {
                _text(self);
                continue;
            }
            // opening brackets are 0x5b and 0x7b, closing ones 0x5d and 0x7d
            uint256 bracket = next | 0x20;
            if (depth == 0 && bracket != 0x7b) return _scalar(self);
            unchecked {
                if (bracket == 0x7b) ++depth;
                else if (bracket == 0x7d) --depth; // not 0 here
                ++self.offset; // below the length
            }
        } while (depth != 0);
    }

    /// @dev The next byte; 0, which no JSON contains, at the end.
    function peek(Cursor memory self) internal pure returns (uint256) {
        return self.offset < self.source.length ? self.source.byteAt(self.offset) : 0;
    }

    /// A number or a word, up to what ends it.
    function _scalar(Cursor memory self) private pure {
        uint256 first = self.offset;
        unchecked {
            while (true) {
                uint256 next = peek(self);
                bool isPart =
                    (next >= 0x30 && next <= 0x39) || (next >= 0x61 && next <= 0x7a) || next == 0x2d || next == 0x2e;
                if (!isPart) break;
                ++self.offset; // below the length
            }
        }
        require(self.offset != first, InvalidJson(first));
    }

    /// A string without its quotation marks: no escapes, no control characters.
    function _text(Cursor memory self) private pure returns (uint256 first, uint256 size) {
        _take(self, QUOTE);
        first = self.offset;
        bytes memory source = self.source;
        uint256 last = first;
        assembly ("memory-safe") {
            // Whether a byte is zero, for 32 bytes at once: 0x80 in its place if so, 0 if not. No carry leaves a byte.
            function zeroBytes(bits) -> mask {
                let lower := 0x7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f7f
                mask := not(or(or(add(and(bits, lower), lower), bits), lower))
            }
            let limit := mload(source)
            for {} lt(last, limit) {
                last := add(last, 32)
            } {
                let chunk := mload(add(add(source, 0x20), last))
                // a quotation mark, a backslash, or a character below a space
                let found := or(
                    or(
                        zeroBytes(xor(chunk, 0x2222222222222222222222222222222222222222222222222222222222222222)),
                        zeroBytes(xor(chunk, 0x5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c5c))
                    ),
                    zeroBytes(and(chunk, 0xe0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0e0))
                )
                if found {
                    // on to the highest of them, by halves
                    for {
                        let half := 128
                    } gt(half, 7) {
                        half := shr(1, half)
                    } {
                        if iszero(shr(sub(256, half), found)) {
                            last := add(last, shr(3, half))
                            found := shl(half, found)
                        }
                    }
                    break
                }
            }
            // what was found behind the end is not there
            if gt(last, limit) {
                last := limit
            }
        }
        self.offset = last;
        unchecked {
            size = last - first; // the loop starts there
        }
        _take(self, QUOTE);
    }

    function _take(Cursor memory self, uint256 expected) private pure {
        require(peek(self) == expected, InvalidJson(self.offset));
        unchecked {
            ++self.offset; // below the length
        }
    }
}
