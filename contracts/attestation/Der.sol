// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

/// @dev A range of a document: offset of its first byte, and of the byte behind its last.
type Span is uint256;

using {start, end, length, isEmpty, until} for Span global;

function span(uint256 start_, uint256 end_) pure returns (Span) {
    return Span.wrap((start_ << 128) | end_); // offsets into memory
}

function start(Span self) pure returns (uint256) {
    return Span.unwrap(self) >> 128;
}

function end(Span self) pure returns (uint256) {
    return uint128(Span.unwrap(self));
}

function length(Span self) pure returns (uint256) {
    unchecked {
        return end(self) - start(self); // no span ends before it starts
    }
}

function isEmpty(Span self) pure returns (bool) {
    return start(self) == end(self);
}

/// @dev From where this span starts to where `rest`, what is left of it, starts.
function until(Span self, Span rest) pure returns (Span) {
    return span(start(self), start(rest));
}

/// @title Distinguished encoding rules of ASN.1 (X.690)
/// @notice A reader that never leaves the document, and accepts one encoding of each value: definite lengths in their shortest form, no unused bytes.
library Der {
    uint256 internal constant BOOLEAN = 0x01;
    uint256 internal constant INTEGER = 0x02;
    uint256 internal constant BIT_STRING = 0x03;
    uint256 internal constant OCTET_STRING = 0x04;
    uint256 internal constant OBJECT_IDENTIFIER = 0x06;
    uint256 internal constant UTC_TIME = 0x17;
    uint256 internal constant GENERALIZED_TIME = 0x18;
    uint256 internal constant SEQUENCE = 0x30;

    error InvalidDer(uint256 offset);

    /// @dev Content of the one element, of type `tag`, that the document consists of.
    function whole(bytes memory der, uint256 tag) internal pure returns (Span content) {
        Span rest;
        (content, rest) = next(der, span(0, der.length), tag);
        require(rest.isEmpty(), InvalidDer(rest.start()));
    }

    /// @dev Content of the one element, of type `tag`, that `outer` consists of.
    function only(bytes memory der, Span outer, uint256 tag) internal pure returns (Span content) {
        Span rest;
        (content, rest) = next(der, outer, tag);
        require(rest.isEmpty(), InvalidDer(rest.start()));
    }

    /// @dev Content of the first element of `outer`, which has to be of type `tag`, and what follows it.
    function next(bytes memory der, Span outer, uint256 tag) internal pure returns (Span content, Span rest) {
        require(nextTag(der, outer) == tag, InvalidDer(outer.start()));
        return skip(der, outer);
    }

    /// @dev Content of the first element of `outer`, and what follows it.
    function skip(bytes memory der, Span outer) internal pure returns (Span content, Span rest) {
        unchecked {
            // Offsets are below the length of the document, lengths below 2^24.
            (uint256 offset, uint256 limit) = (outer.start(), outer.end());
            require(offset + 2 <= limit, InvalidDer(offset));
            uint256 size = byteAt(der, offset + 1);
            uint256 first = offset + 2;
            if (size >= 0x80) {
                uint256 bytesOfSize = size & 0x7f;
                require(bytesOfSize != 0 && bytesOfSize <= 3 && first + bytesOfSize <= limit, InvalidDer(offset));
                size = bigEndian(der, first, bytesOfSize);
                // shortest form: not what fits a short length, no leading zero
                require(size >= 0x80 && size >> (8 * (bytesOfSize - 1)) != 0, InvalidDer(offset));
                first += bytesOfSize;
            }
            require(size <= limit - first, InvalidDer(offset)); // first <= limit
            return (span(first, first + size), span(first + size, limit));
        }
    }

    /// @dev Type of the first element of `outer`; 0 if there is none.
    function nextTag(bytes memory der, Span outer) internal pure returns (uint256) {
        return outer.isEmpty() ? 0 : byteAt(der, outer.start());
    }

    /// @dev A non-negative INTEGER of at most 32 bytes, given its content.
    function toUint(bytes memory der, Span content) internal pure returns (uint256) {
        unchecked {
            uint256 size = content.length();
            uint256 first = content.start();
            require(size != 0 && size <= 33, InvalidDer(first));
            if (byteAt(der, first) == 0 && size > 1) {
                // a leading zero only where the number would be negative without
                require(byteAt(der, first + 1) >= 0x80, InvalidDer(first));
                return bigEndian(der, first + 1, size - 1);
            }
            require(byteAt(der, first) < 0x80, InvalidDer(first)); // 33 bytes without a leading zero, too
            return bigEndian(der, first, size);
        }
    }

    /// @dev The next element of `outer`, a UTCTime or a GeneralizedTime as RFC 5280 §4.1.2.5 restricts them, in unix seconds.
    function nextTime(bytes memory der, Span outer) internal pure returns (uint256 time, Span rest) {
        unchecked {
            uint256 tag = nextTag(der, outer);
            Span content;
            (content, rest) = skip(der, outer);
            uint256 offset = content.start();
            uint256 year;
            if (tag == UTC_TIME) {
                require(content.length() == 13, InvalidDer(offset));
                year = twoDigits(der, offset);
                year += year < 50 ? 2000 : 1900;
                offset += 2;
            } else {
                require(tag == GENERALIZED_TIME && content.length() == 15, InvalidDer(offset));
                year = twoDigits(der, offset) * 100 + twoDigits(der, offset + 2);
                offset += 4;
            }
            require(byteAt(der, offset + 10) == 0x5a, InvalidDer(offset)); // Z
            time = timestamp(
                year,
                twoDigits(der, offset),
                twoDigits(der, offset + 2),
                twoDigits(der, offset + 4),
                twoDigits(der, offset + 6),
                twoDigits(der, offset + 8)
            );
        }
    }

    /// @dev Unix seconds of a date from 1970 on. Howard Hinnant's days_from_civil: years begin in March, so that the leap day is the last.
    function timestamp(
        uint256 year,
        uint256 month,
        uint256 day,
        uint256 hour,
        uint256 minute,
        uint256 second
    ) internal pure returns (uint256) {
        require(year >= 1970 && month != 0 && month <= 12 && day != 0 && day <= 31, InvalidDer(0));
        require(hour < 24 && minute < 60 && second < 60, InvalidDer(0));
        unchecked {
            // small numbers
            if (month <= 2) --year;
            uint256 dayOfYear = (153 * (month > 2 ? month - 3 : month + 9) + 2) / 5 + day - 1;
            uint256 daysSinceZero = year * 365 + year / 4 - year / 100 + year / 400 + dayOfYear;
            return (daysSinceZero - 719_468) * 1 days + hour * 1 hours + minute * 1 minutes + second;
        }
    }

    /// @dev Two ASCII digits. Both have to lie in the document.
    function twoDigits(bytes memory der, uint256 offset) internal pure returns (uint256) {
        unchecked {
            uint256 tens = byteAt(der, offset) - 0x30;
            uint256 ones = byteAt(der, offset + 1) - 0x30;
            require(tens < 10 && ones < 10, InvalidDer(offset)); // what is below "0" wraps
            return tens * 10 + ones;
        }
    }

    /// @dev The byte at `offset`, which has to lie in the document.
    function byteAt(bytes memory der, uint256 offset) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := byte(0, mload(add(add(der, 0x20), offset)))
        }
    }

    /// @dev The number that `size` bytes (at most 32) at `offset` make. They have to lie in the document.
    function bigEndian(bytes memory der, uint256 offset, uint256 size) internal pure returns (uint256 value) {
        assembly ("memory-safe") {
            value := shr(sub(256, shl(3, size)), mload(add(add(der, 0x20), offset)))
        }
    }

    function keccakOf(bytes memory der, Span part) internal pure returns (bytes32 hash) {
        uint256 offset = part.start();
        uint256 size = part.length();
        assembly ("memory-safe") {
            hash := keccak256(add(add(der, 0x20), offset), size)
        }
    }

    function sha256Of(bytes memory der, Span part) internal view returns (bytes32 hash) {
        uint256 offset = part.start();
        uint256 size = part.length();
        bool success;
        assembly ("memory-safe") {
            // Scratch space takes the result. The precompile fails only for want of gas.
            success := staticcall(gas(), 0x02, add(add(der, 0x20), offset), size, 0x00, 0x20)
            hash := mload(0x00)
        }
        assert(success);
    }
}
