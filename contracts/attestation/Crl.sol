// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {Der, Span} from "./Der.sol";
import {X509} from "./X509.sol";

/// @notice What a certificate revocation list says, and the signature under it.
// In memory only, in the order of the document.
// solhint-disable-next-line gas-struct-packing
struct RevocationList {
    /// SHA-256 of what is signed.
    bytes32 digest;
    bytes32 r;
    bytes32 s;
    /// keccak256 of the encoded name.
    bytes32 issuer;
    /// Unix seconds.
    uint256 thisUpdate;
    uint256 nextUpdate;
    /// Serial numbers of what it revokes.
    uint256[] revoked;
}

/// @title Certificate revocation lists (RFC 5280 §5), complete ones of one issuer
library Crl {
    using Der for bytes;

    uint256 private constant VERSION_2 = 1;

    error InvalidCrl(uint256 offset);

    /// @dev Reads a list. Its signature is not checked here.
    function parse(bytes memory der) internal view returns (RevocationList memory list) {
        Span body;
        (body, list.digest, list.r, list.s) = X509.signed(der);
        Span part;
        (part, body) = der.next(body, Der.INTEGER);
        require(der.toUint(part) == VERSION_2, InvalidCrl(part.start()));
        body = X509.algorithm(der, body);
        (list.issuer, body) = X509.name(der, body);
        (list.thisUpdate, body) = der.nextTime(body);
        (list.nextUpdate, body) = der.nextTime(body);
        if (der.nextTag(body) == Der.SEQUENCE) {
            (part, body) = der.skip(body);
            list.revoked = _serials(der, part);
        }
        if (!body.isEmpty()) _checkExtensions(der, der.only(der.only(body, 0xa0), Der.SEQUENCE));
    }

    /// Date and reason of an entry do not matter: what is listed is revoked.
    function _serials(bytes memory der, Span entries) private pure returns (uint256[] memory serials) {
        uint256 count;
        for (Span rest = entries; !rest.isEmpty(); ++count) (, rest) = der.next(rest, Der.SEQUENCE);
        serials = new uint256[](count);
        for (uint256 i; i < count; ++i) {
            Span entry;
            (entry, entries) = der.skip(entries);
            (entry, ) = der.next(entry, Der.INTEGER);
            serials[i] = der.toUint(entry);
        }
    }

    /// What would make the list something else than complete (a delta, a part, of other issuers) is a critical extension.
    function _checkExtensions(bytes memory der, Span extensions) private pure {
        while (!extensions.isEmpty()) {
            (, bool critical, , Span rest) = X509.extension(der, extensions);
            require(!critical, InvalidCrl(extensions.start()));
            extensions = rest;
        }
    }
}
