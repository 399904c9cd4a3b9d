// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CollateralReader} from "./CollateralReader.sol";
import {RevocationList} from "./Crl.sol";
import {EcdsaP256} from "./EcdsaP256.sol";
import {ICollateralRegistry, Issuer, IssuerKind, Pck} from "./ICollateralRegistry.sol";
import {SgxExtension} from "./SgxExtension.sol";
import {Certificate, X509} from "./X509.sol";

/// @title The part of the collateral registry that is certificates
/// @notice The root, what it certified, what those certified, and what any of them revoked.
/// @dev A revocation list is complete as soon as it is added: every certificate on it that is registered is marked, and one registered later is
/// first looked for on the list. So nobody has to watch for revoked platforms, and entries of platforms that nobody uses cost no storage.
abstract contract CertificateRegistry is ICollateralRegistry {
    /// What is known of an issuer, the root's revocation list included. The first slot is read for every quote.
    struct IssuerState {
        IssuerKind kind;
        bool revoked;
        uint40 notAfter;
        uint40 crlThisUpdate;
        uint40 crlNextUpdate;
        bytes32 x;
        bytes32 y;
        /// keccak256 of its encoded name.
        bytes32 subject;
        /// keccak256 of its revocation list.
        bytes32 crlHash;
    }

    /// SHA-256 of "Intel SGX Root CA", https://certificates.trustedservices.intel.com/IntelSGXRootCA.der
    bytes32 internal constant INTEL_ROOT = 0x44a0196b2b99f889b8e149e95b807a350e7424964399e885a7cbb8ccfab674d3;

    /// Position of the root among the issuers.
    uint8 private constant ROOT = 0;

    /// @inheritdoc ICollateralRegistry
    bytes32 public immutable rootFingerprint;
    /// @inheritdoc ICollateralRegistry
    bool public immutable development;

    bytes32 private immutable _rootX;
    bytes32 private immutable _rootY;
    bytes32 private immutable _rootSubject;
    uint256 private immutable _rootNotAfter;

    uint8 private _issuerCount;
    mapping(uint8 position => IssuerState) private _issuers;
    mapping(bytes20 issuer => uint8 position) private _positions;
    mapping(uint256 serial => uint8 position) private _issuerOfSerial;
    mapping(bytes20 pck => Pck) private _pcks;
    mapping(uint8 issuer => mapping(uint256 serial => bytes20 pck)) private _pckOfSerial;

    /// @param rootCertificate DER. Anything but Intel's makes a development registry, which only chain ids 31337 and 1337 may have: DevelopmentRoot.
    constructor(bytes memory rootCertificate) {
        Certificate memory root = CollateralReader.certificate(rootCertificate);
        _checkCa(root);
        require(root.issuer == root.subject, WrongIssuer(0));
        _checkSignature(root.digest, root.r, root.s, root.x, root.y);
        rootFingerprint = sha256(rootCertificate);
        development = rootFingerprint != INTEL_ROOT;
        require(!development || block.chainid == 31337 || block.chainid == 1337, DevelopmentRoot(block.chainid));
        _rootX = root.x;
        _rootY = root.y;
        _rootSubject = root.subject;
        _rootNotAfter = root.notAfter;
    }

    /// @inheritdoc ICollateralRegistry
    function rootKey() external view returns (bytes32 x, bytes32 y) {
        return (_rootX, _rootY);
    }

    // ---- revocation lists

    /// @inheritdoc ICollateralRegistry
    function addCrl(bytes20 issuer, bytes calldata crl) external {
        uint8 position = issuer == 0 ? ROOT : _positionOf(issuer);
        RevocationList memory list = CollateralReader.crl(crl);
        IssuerState storage state = _issuers[position];
        _checkIssued(issuer, position, list.issuer, list.digest, list.r, list.s);
        _checkValidity(list.thisUpdate, list.nextUpdate);
        uint256 current = state.crlThisUpdate;
        require(list.thisUpdate >= current, Superseded(list.thisUpdate, current, 0, 0));

        bytes32 hash = keccak256(crl);
        state.crlThisUpdate = uint40(list.thisUpdate); // years have four digits
        state.crlNextUpdate = uint40(list.nextUpdate);
        state.crlHash = hash;
        if (position == ROOT) _rootCrlAdded(list.nextUpdate);
        for (uint256 i; i < list.revoked.length; ++i) {
            if (position == ROOT) _revokeIssuer(list.revoked[i]);
            else _revokePck(position, list.revoked[i]);
        }
        emit CrlAdded(issuer, list.thisUpdate, list.nextUpdate, hash);
    }

    /// @inheritdoc ICollateralRegistry
    function crlOf(bytes20 issuer) external view returns (bytes32 hash, uint256 thisUpdate, uint256 nextUpdate) {
        IssuerState storage state = _issuers[_positions[issuer]];
        return (state.crlHash, state.crlThisUpdate, state.crlNextUpdate);
    }

    function _revokeIssuer(uint256 serial) private {
        uint8 position = _issuerOfSerial[serial];
        if (position == 0) return;
        IssuerState storage state = _issuers[position];
        if (state.revoked) return;
        state.revoked = true;
        emit IssuerRevoked(EcdsaP256.id(state.x, state.y));
        if (state.kind == IssuerKind.TcbSigner) _tcbSignerRevoked();
    }

    function _revokePck(uint8 issuer, uint256 serial) private {
        bytes20 id = _pckOfSerial[issuer][serial];
        if (id == 0 || _pcks[id].revoked) return;
        _pcks[id].revoked = true;
        emit PckRevoked(id);
    }

    // ---- issuers

    /// @inheritdoc ICollateralRegistry
    function addIssuer(bytes calldata certificate, bytes calldata rootCrl) external returns (bytes20 issuer) {
        Certificate memory parsed = CollateralReader.certificate(certificate);
        _checkIssued(0, ROOT, parsed.issuer, parsed.digest, parsed.r, parsed.s);
        _checkValidity(parsed.notBefore, parsed.notAfter);
        IssuerKind kind = IssuerKind.TcbSigner;
        if (parsed.isCa) {
            _checkCa(parsed);
            kind = IssuerKind.PckIssuer;
        } else {
            _checkLeaf(parsed);
        }
        _checkNotListed(0, ROOT, rootCrl, parsed.serial);

        issuer = EcdsaP256.id(parsed.x, parsed.y);
        uint8 position = _positions[issuer];
        if (position == 0) {
            position = ++_issuerCount;
            _positions[issuer] = position;
            IssuerState storage created = _issuers[position];
            created.kind = kind;
            created.x = parsed.x;
            created.y = parsed.y;
            created.subject = parsed.subject;
        }
        IssuerState storage state = _issuers[position];
        require(!state.revoked, RevokedIssuer(issuer));
        require(state.kind == kind && state.subject == parsed.subject, WrongIssuer(issuer));
        if (parsed.notAfter > _rootNotAfter) parsed.notAfter = _rootNotAfter;
        _issuerOfSerial[parsed.serial] = position;
        if (parsed.notAfter <= state.notAfter) return issuer;
        state.notAfter = uint40(parsed.notAfter); // years have four digits
        emit IssuerAdded(issuer, kind, parsed.serial, parsed.notAfter);
    }

    /// @inheritdoc ICollateralRegistry
    function issuerOf(bytes20 issuer) external view returns (Issuer memory) {
        IssuerState storage state = _issuers[_positions[issuer]];
        return
            Issuer({
                kind: state.kind,
                revoked: state.revoked,
                notAfter: state.notAfter,
                crlThisUpdate: state.crlThisUpdate,
                crlNextUpdate: state.crlNextUpdate
            });
    }

    // ---- platforms

    /// @inheritdoc ICollateralRegistry
    function addPck(bytes calldata certificate, bytes20 issuer, bytes calldata crl) external returns (bytes20 pck) {
        uint8 position = _positionOf(issuer);
        _checkIssuer(position, issuer);
        (Certificate memory parsed, SgxExtension.Platform memory platform) = CollateralReader.pckCertificate(
            certificate
        );
        _checkLeaf(parsed);
        _checkIssued(issuer, position, parsed.issuer, parsed.digest, parsed.r, parsed.s);
        _checkValidity(parsed.notBefore, parsed.notAfter);
        _checkNotListed(issuer, position, crl, parsed.serial);

        pck = EcdsaP256.id(parsed.x, parsed.y);
        require(!_pcks[pck].revoked, RevokedPck(pck));
        _pckOfSerial[position][parsed.serial] = pck;
        // Dates beyond the year 2106 are cut: a certificate then counts for less than it could.
        if (parsed.notAfter > type(uint32).max) parsed.notAfter = type(uint32).max;
        if (parsed.notAfter <= _pcks[pck].notAfter) return pck;
        _pcks[pck] = Pck({
            cpuSvn: platform.cpuSvn,
            fmspc: platform.fmspc,
            pceId: platform.pceId,
            pceSvn: platform.pceSvn,
            notAfter: uint32(parsed.notAfter),
            issuer: position,
            revoked: false
        });
        emit PckAdded(pck, issuer, platform.fmspc, parsed.serial, parsed.notAfter);
    }

    /// @inheritdoc ICollateralRegistry
    function pckOf(bytes20 pck) public view returns (Pck memory) {
        return _pcks[pck];
    }

    // ---- for the rest of the registry

    /// Reverts unless the platform's certificate and its issuer's are in force. Gives when the first of them, or the issuer's revocation list, expires.
    function _platform(bytes20 id) internal view returns (Pck memory pck, uint256 until) {
        pck = _pcks[id];
        require(pck.notAfter != 0, UnknownPck(id));
        require(!pck.revoked, RevokedPck(id));
        require(block.timestamp <= pck.notAfter, CertificateExpired(id, pck.notAfter));
        IssuerState storage state = _issuers[pck.issuer];
        (bool revoked, uint256 notAfter, uint256 nextUpdate) = (state.revoked, state.notAfter, state.crlNextUpdate);
        if (revoked || block.timestamp > notAfter || block.timestamp > nextUpdate) {
            bytes20 issuer = EcdsaP256.id(state.x, state.y);
            require(!revoked, RevokedIssuer(issuer));
            require(block.timestamp <= notAfter, CertificateExpired(issuer, notAfter));
            revert CrlExpired(issuer, nextUpdate);
        }
        until = _min(pck.notAfter, _min(notAfter, nextUpdate));
    }

    /// Reverts unless `signer` may sign collateral and did sign `digest`. Gives the end of its certificate.
    function _checkTcbSigner(
        bytes20 signer,
        bytes32 digest,
        bytes calldata signature
    ) internal view returns (uint256 notAfter) {
        uint8 position = _positionOf(signer);
        _checkIssuer(position, signer);
        IssuerState storage state = _issuers[position];
        require(state.kind == IssuerKind.TcbSigner, WrongIssuer(signer));
        require(signature.length == 64, InvalidSignature());
        _checkSignature(digest, bytes32(signature[:32]), bytes32(signature[32:]), state.x, state.y);
        return state.notAfter;
    }

    /// The root's list was refreshed, and is to be refreshed again by `nextUpdate` (unix seconds).
    function _rootCrlAdded(uint256 nextUpdate) internal virtual;

    /// What signers of collateral signed so far has to be signed anew.
    function _tcbSignerRevoked() internal virtual;

    function _checkSignature(bytes32 digest, bytes32 r, bytes32 s, bytes32 x, bytes32 y) internal view {
        require(CollateralReader.isValidSignature(digest, r, s, x, y), InvalidSignature());
    }

    function _checkValidity(uint256 notBefore, uint256 notAfter) internal view {
        require(notBefore <= block.timestamp && block.timestamp <= notAfter, OutsideValidity(notBefore, notAfter));
    }

    function _min(uint256 a, uint256 b) internal pure returns (uint256) {
        return a < b ? a : b;
    }

    // ---- checks

    function _positionOf(bytes20 issuer) private view returns (uint8 position) {
        position = _positions[issuer];
        require(position != 0, UnknownIssuer(issuer));
    }

    function _checkIssuer(uint8 position, bytes20 issuer) private view {
        IssuerState storage state = _issuers[position];
        require(!state.revoked, RevokedIssuer(issuer));
        require(block.timestamp <= state.notAfter, CertificateExpired(issuer, state.notAfter));
    }

    /// Reverts unless a document names the issuer, a CA, and carries its signature.
    function _checkIssued(
        bytes20 issuer,
        uint8 position,
        bytes32 named,
        bytes32 digest,
        bytes32 r,
        bytes32 s
    ) private view {
        (bytes32 subject, bytes32 x, bytes32 y) = (_rootSubject, _rootX, _rootY);
        if (position != ROOT) {
            IssuerState storage state = _issuers[position];
            require(state.kind == IssuerKind.PckIssuer, WrongIssuer(issuer));
            (subject, x, y) = (state.subject, state.x, state.y);
        }
        require(named == subject, WrongIssuer(issuer));
        _checkSignature(digest, r, s, x, y);
    }

    /// Reverts unless `crl` is the list in place, in date, and `serial` is not on it.
    function _checkNotListed(bytes20 issuer, uint8 position, bytes calldata crl, uint256 serial) private view {
        IssuerState storage state = _issuers[position];
        require(keccak256(crl) == state.crlHash, NotCurrentCrl(issuer, state.crlHash));
        require(block.timestamp <= state.crlNextUpdate, CrlExpired(issuer, state.crlNextUpdate));
        uint256[] memory revoked = CollateralReader.crl(crl).revoked;
        for (uint256 i; i < revoked.length; ++i) require(revoked[i] != serial, RevokedSerial(serial));
    }

    function _checkCa(Certificate memory certificate) private pure {
        uint8 usage = X509.KEY_CERT_SIGN | X509.CRL_SIGN;
        require(certificate.isCa && certificate.keyUsage & usage == usage, WrongCertificateUse());
    }

    function _checkLeaf(Certificate memory certificate) private pure {
        require(!certificate.isCa && certificate.keyUsage & X509.DIGITAL_SIGNATURE != 0, WrongCertificateUse());
    }
}
