// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CodeStore} from "../../contracts/attestation/CodeStore.sol";
import {Der, Span} from "../../contracts/attestation/Der.sol";
import {Json} from "../../contracts/attestation/Json.sol";
import {TcbTable} from "../../contracts/attestation/TcbTable.sol";
import {X509} from "../../contracts/attestation/X509.sol";
import {TestBase} from "./TestBase.sol";

/// Readers as external functions: a revert of theirs is theirs.
contract Readers {
    using Der for bytes;
    using Json for Json.Cursor;

    function whole(bytes memory der, uint256 tag) external pure returns (uint256 start, uint256 end) {
        Span content = der.whole(tag);
        return (content.start(), content.end());
    }

    function toUint(bytes memory der) external pure returns (uint256) {
        return der.toUint(der.whole(Der.INTEGER));
    }

    function certificate(bytes memory der) external view {
        X509.parse(der);
    }

    function text(bytes memory json) external pure returns (bytes32 hash) {
        Json.Cursor memory cursor = Json.open(json);
        hash = cursor.textHash();
        cursor.finish();
    }

    function number(bytes memory json) external pure returns (uint256 value) {
        Json.Cursor memory cursor = Json.open(json);
        value = cursor.number();
        cursor.finish();
    }

    function skip(bytes memory json) external pure returns (uint256 offset) {
        Json.Cursor memory cursor = Json.open(json);
        cursor.skip();
        require(cursor.offset <= json.length, "left the document");
        return cursor.offset;
    }

    function date(bytes memory json) external pure returns (uint256) {
        return Json.open(json).date();
    }
}

contract AttestationParsersTest is TestBase {
    Readers private readers = new Readers();

    function reverts(bytes memory reading) private view {
        (bool success, ) = address(readers).staticcall(reading);
        require(!success, "accepted");
    }

    /// The encoding that DER allows, of any content.
    function encoded(uint8 tag, bytes memory content) private pure returns (bytes memory) {
        uint256 size = content.length;
        if (size < 0x80) return bytes.concat(bytes1(tag), bytes1(uint8(size)), content);
        if (size < 0x100) return bytes.concat(bytes1(tag), hex"81", bytes1(uint8(size)), content);
        return bytes.concat(bytes1(tag), hex"82", bytes2(uint16(size)), content);
    }

    function testFuzz_der_gives_the_content_of_what_was_encoded(uint8 tag, bytes memory content) public view {
        bytes memory der = encoded(tag, content);
        (uint256 start, uint256 end) = readers.whole(der, tag);
        require(end == der.length && end - start == content.length, "content");
    }

    function testFuzz_der_refuses_bytes_behind_and_bytes_missing(
        uint8 tag,
        bytes memory content,
        uint8 cut
    ) public view {
        bytes memory der = encoded(tag, content);
        reverts(abi.encodeCall(readers.whole, (bytes.concat(der, hex"00"), tag)));
        uint256 less = (uint256(cut) % der.length) + 1;
        assembly ("memory-safe") {
            mstore(der, sub(mload(der), less))
        }
        reverts(abi.encodeCall(readers.whole, (der, tag)));
    }

    function test_der_refuses_lengths_that_are_not_the_shortest() public view {
        bytes[7] memory wrong = [
            bytes(hex"308101ff"),
            hex"30820001ff",
            hex"3083000001ff",
            hex"308400000001ff",
            hex"3080",
            hex"30",
            hex""
        ];
        for (uint256 i; i < wrong.length; ++i) {
            reverts(abi.encodeCall(readers.whole, (wrong[i], Der.SEQUENCE)));
        }
    }

    function testFuzz_whatever_the_bytes_a_reader_stays_inside_or_reverts(bytes memory anything) public view {
        try readers.whole(anything, anything.length == 0 ? 0 : uint8(anything[0])) returns (
            uint256 start,
            uint256 end
        ) {
            require(start <= end && end == anything.length, "whole");
        } catch {}
        try readers.skip(anything) returns (uint256 offset) {
            require(offset != 0 && offset <= anything.length, "skip");
        } catch {}
        try readers.certificate(anything) {
            revert("a certificate of random bytes");
        } catch {}
    }

    function testFuzz_integers_are_what_was_encoded(uint256 value) public view {
        bytes memory digits = abi.encodePacked(value);
        uint256 first;
        while (first < 31 && digits[first] == 0 && uint8(digits[first + 1]) < 0x80) ++first;
        bytes memory content = uint8(digits[0]) >= 0x80 ? bytes.concat(hex"00", digits) : new bytes(32 - first);
        if (content.length <= 32) for (uint256 i; i < content.length; ++i) content[i] = digits[first + i];
        require(readers.toUint(encoded(0x02, content)) == value, "integer");
    }

    function test_integers_are_not_negative_and_not_padded() public view {
        bytes[5] memory wrong = [bytes(hex"0200"), hex"0201ff", hex"02020001", hex"020200007f", hex"0203000080"];
        for (uint256 i; i < wrong.length; ++i) {
            reverts(abi.encodeCall(readers.toUint, (wrong[i])));
        }
    }

    /// A string without what JSON would escape is found as it is, however its end lies in a word.
    function testFuzz_json_gives_strings_as_they_are(bytes memory content) public view {
        for (uint256 i; i < content.length; ++i) {
            uint8 character = uint8(content[i]);
            if (character < 0x20 || character == 0x22 || character == 0x5c) content[i] = "x";
        }
        require(readers.text(bytes.concat('"', content, '"')) == keccak256(content), "string");
    }

    function testFuzz_json_refuses_escapes_control_characters_and_strings_without_end(
        bytes memory content,
        uint256 where,
        uint8 what
    ) public view {
        for (uint256 i; i < content.length; ++i) {
            uint8 character = uint8(content[i]);
            if (character < 0x20 || character == 0x22 || character == 0x5c) content[i] = "x";
        }
        reverts(abi.encodeCall(readers.text, (bytes.concat('"', content))));
        reverts(abi.encodeCall(readers.text, (bytes.concat('"', content, '" '))));
        if (content.length == 0) return;
        uint256 kind = what % 34;
        content[where % content.length] =
            kind == 32
                ? bytes1(0x22)
                : kind == 33
                    ? bytes1(0x5c)
                    : bytes1(uint8(kind));
        reverts(abi.encodeCall(readers.text, (bytes.concat('"', content, '"'))));
    }

    function testFuzz_json_gives_numbers_as_they_are(uint64 value) public view {
        bytes memory digits;
        uint256 rest = value;
        do {
            digits = bytes.concat(bytes1(uint8(0x30 + (rest % 10))), digits);
            rest /= 10;
        } while (rest != 0);
        require(readers.number(digits) == value, "number");
    }

    function test_json_refuses_numbers_in_other_forms() public view {
        bytes[8] memory wrong = [
            bytes("01"),
            "00",
            "-1",
            "1.5",
            "1e3",
            "",
            "18446744073709551616",
            "99999999999999999999999999999999999999999999999999999999999999999999999999999999"
        ];
        for (uint256 i; i < wrong.length; ++i) {
            reverts(abi.encodeCall(readers.number, (wrong[i])));
        }
    }

    function test_dates_are_those_of_the_calendar() public view {
        require(readers.date('"1970-01-01T00:00:00Z"') == 0, "epoch");
        require(readers.date('"2000-02-29T23:59:59Z"') == 951868799, "leap day");
        require(readers.date('"2026-02-18T10:58:51Z"') == 1771412331, "collateral");
        require(readers.date('"2100-03-01T00:00:00Z"') == 4107542400, "no leap year");
        bytes[8] memory wrong = [
            bytes('"1969-12-31T23:59:59Z"'),
            '"2026-00-18T10:58:51Z"',
            '"2026-13-18T10:58:51Z"',
            '"2026-02-00T10:58:51Z"',
            '"2026-02-32T10:58:51Z"',
            '"2026-02-18T24:58:51Z"',
            '"2026-02-18T10:60:51Z"',
            '"2026-02-18T10:58:60Z"'
        ];
        for (uint256 i; i < wrong.length; ++i) {
            reverts(abi.encodeCall(readers.date, (wrong[i])));
        }
    }

    /// All bytes at once says the same as byte by byte.
    function testFuzz_svns_are_compared_byte_by_byte(uint256 svns, uint256 required, bytes32 equal) public pure {
        // random bytes nearly never all reach: most are made equal
        required = (required & uint256(equal)) | (svns & ~uint256(equal));
        bool reaches = true;
        for (uint256 i; i < 32; ++i) if (bytes32(svns)[i] < bytes32(required)[i]) reaches = false;
        require(TcbTable.reaches(svns, required) == reaches, "reaches");
        require(TcbTable.reaches(svns, svns), "itself");
    }

    function testFuzz_code_keeps_what_was_written(bytes memory content) public {
        address store = CodeStore.write(content);
        require(keccak256(CodeStore.read(store)) == keccak256(content), "read");
        require(CodeStore.holds(store, content), "holds");
        require(!CodeStore.holds(store, bytes.concat(content, hex"00")), "other");
        require(!CodeStore.holds(address(0), content), "zero address");
    }
}
