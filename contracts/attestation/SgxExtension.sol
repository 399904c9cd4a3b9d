// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Der, Span} from "./Der.sol";

/// @title Intel's SGX extension of PCK certificates
/// @notice "Intel SGX PCK Certificate and Certificate Revocation List Profile Specification", §1.3.5: the platform that the certificate is for.
library SgxExtension {
    using Der for bytes;

    /// Identifiers under 1.2.840.113741.1.13.1, by their last component; those of the TCB are one level deeper, under .2.
    uint256 private constant TCB = 2;
    uint256 private constant PCE_ID = 3;
    uint256 private constant FMSPC = 4;
    uint256 private constant TCB_COMPONENTS = 16;
    uint256 private constant TCB_PCE_SVN = 17;
    uint256 private constant TCB_CPU_SVN = 18;

    uint256 private constant PREFIX = 0x2a864886f84d010d01;

    struct Platform {
        /// The SVNs of the 16 components that TCB levels are compared with.
        bytes16 cpuSvn;
        bytes6 fmspc;
        bytes2 pceId;
        uint16 pceSvn;
    }

    error InvalidSgxExtension(uint256 offset);

    /// @dev Reads the extension, given its content. Every part has to be there once; those not needed here (PPID, SGX type, …) are passed over.
    function parse(bytes memory der, Span content) internal pure returns (Platform memory platform) {
        uint256 seen;
        while (!content.isEmpty()) {
            (uint256 id, Span value, Span rest) = _next(der, content, PREFIX, 9);
            require(seen & (1 << id) == 0, InvalidSgxExtension(content.start()));
            seen |= 1 << id;
            if (id == TCB) {
                _parseTcb(der, der.only(value, Der.SEQUENCE), platform);
            } else if (id == PCE_ID) {
                platform.pceId = bytes2(uint16(_octets(der, value, 2)));
            } else if (id == FMSPC) {
                platform.fmspc = bytes6(uint48(_octets(der, value, 6)));
            }
            content = rest;
        }
        uint256 required = (1 << TCB) | (1 << PCE_ID) | (1 << FMSPC);
        require(seen & required == required, InvalidSgxExtension(content.start()));
    }

    function _parseTcb(bytes memory der, Span content, Platform memory platform) private pure {
        uint256 seen;
        uint256 svns;
        while (!content.isEmpty()) {
            (uint256 id, Span value, Span rest) = _next(der, content, (PREFIX << 8) | TCB, 10);
            require(seen & (1 << id) == 0, InvalidSgxExtension(content.start()));
            seen |= 1 << id;
            if (id == TCB_PCE_SVN) {
                uint256 svn = der.toUint(der.only(value, Der.INTEGER));
                require(svn <= type(uint16).max, InvalidSgxExtension(value.start()));
                platform.pceSvn = uint16(svn);
            } else if (id == TCB_CPU_SVN) {
                _octets(der, value, 16);
            } else {
                require(id != 0 && id <= TCB_COMPONENTS, InvalidSgxExtension(content.start()));
                uint256 svn = der.toUint(der.only(value, Der.INTEGER));
                require(svn <= type(uint8).max, InvalidSgxExtension(value.start()));
                svns |= svn << (8 * (TCB_COMPONENTS - id));
            }
            content = rest;
        }
        // 1 to 18, each once
        require(seen == (1 << 19) - 2, InvalidSgxExtension(content.start()));
        platform.cpuSvn = bytes16(uint128(svns));
    }

    /// SEQUENCE { OBJECT IDENTIFIER prefix.id, value }: the last component of the identifier, and the value with its header.
    function _next(
        bytes memory der,
        Span outer,
        uint256 prefix,
        uint256 prefixLength
    ) private pure returns (uint256 id, Span value, Span rest) {
        Span content;
        (content, rest) = der.next(outer, Der.SEQUENCE);
        Span identifier;
        (identifier, value) = der.next(content, Der.OBJECT_IDENTIFIER);
        require(
            identifier.length() == prefixLength + 1 && der.bigEndian(identifier.start(), prefixLength) == prefix,
            InvalidSgxExtension(identifier.start())
        );
        id = der.byteAt(identifier.start() + prefixLength);
        require(id < 0x80, InvalidSgxExtension(identifier.start()));
    }

    function _octets(bytes memory der, Span value, uint256 size) private pure returns (uint256) {
        Span content = der.only(value, Der.OCTET_STRING);
        require(content.length() == size, InvalidSgxExtension(content.start()));
        return der.bigEndian(content.start(), size);
    }
}
