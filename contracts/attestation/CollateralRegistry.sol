// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {CertificateRegistry} from "./CertificateRegistry.sol";
import {CodeStore} from "./CodeStore.sol";
import {CollateralReader} from "./CollateralReader.sol";
import {EcdsaP256} from "./EcdsaP256.sol";
import {ICollateralRegistry, Pck, PlatformEvidence, QeIdentity} from "./ICollateralRegistry.sol";
import {TcbInfo} from "./TcbInfo.sol";
import {TcbStatus} from "./TcbStatus.sol";
import {TcbTable} from "./TcbTable.sol";

/// @title DCAP collateral, authenticated by signatures up to one pinned root
/// @notice Immutable, without owner and roles: the root's holder decides by what it signs, and anyone may bring that here.
contract CollateralRegistry is CertificateRegistry {
    /// What every quote is judged by, whatever its platform. One slot.
    struct Head {
        // Next updates, in unix seconds.
        uint40 rootCrlUntil;
        uint40 qeUntil;
        /// Grows when a quoting enclave has to be something else than before: keys added before have to be renewed.
        uint16 qeGeneration;
        uint16 qeEvaluation;
        /// Grows when a signer of TCB info is revoked: what was signed before has to be added anew.
        uint16 signerGeneration;
        /// The newest levels of the quoting enclave, isvsvn (16) ‖ status (8) each, the first in the highest bits.
        uint8 qeLevels;
        uint120 qeLevelTable;
    }

    /// One slot.
    struct TcbInfoState {
        address table;
        // Unix seconds, cut in the year 2106.
        uint32 issueDate;
        uint32 until;
        uint16 evaluation;
        uint16 signerGeneration;
    }

    /// One slot.
    struct AttestationKey {
        bytes20 pck;
        uint16 isvSvn;
        uint16 qeGeneration;
        /// Position in the order in which keys were added, from 1.
        uint40 index;
    }

    /// Levels of the quoting enclave that are kept; one that only reaches an older level is refused, as if it reached none.
    uint256 public constant MAX_QE_LEVELS = 5;

    uint256 private constant QE_REPORT = 384;
    /// Report, signature, length of the authentication data.
    uint256 private constant CERTIFICATION = QE_REPORT + 64 + 2;
    /// The bit of an enclave's attributes that says that its host can read it.
    uint128 private constant DEBUG = 0x02 << 120;

    Head private _head;
    QeIdentity private _qeIdentity;
    uint40 private _keyCount;
    mapping(bytes8 platformKind => TcbInfoState) private _tcbInfos;
    mapping(bytes20 key => AttestationKey) private _keys;
    mapping(uint40 index => bytes20 key) private _keyAt;

    /// @param rootCertificate DER. Anything but Intel's makes a development registry, which only chain ids 31337 and 1337 may have: DevelopmentRoot.
    constructor(bytes memory rootCertificate) CertificateRegistry(rootCertificate) {}

    // ---- TCB info

    /// @inheritdoc ICollateralRegistry
    function addTcbInfo(bytes calldata tcbInfo, bytes calldata signature, bytes20 signer) external {
        uint256 until = _checkTcbSigner(signer, sha256(tcbInfo), signature);
        TcbInfo.Document memory document = CollateralReader.tcbInfo(tcbInfo);
        _checkValidity(document.issueDate, document.nextUpdate);
        until = _min(_min(until, document.nextUpdate), type(uint32).max);

        TcbInfoState storage state = _tcbInfos[_platformKind(document.fmspc, document.pceId)];
        _checkNotOlder(document.issueDate, state.issueDate, document.evaluation, state.evaluation);
        // Most refreshes change nothing but dates.
        address table = state.table;
        if (!CodeStore.holds(table, document.table)) table = CodeStore.write(document.table);
        _tcbInfos[_platformKind(document.fmspc, document.pceId)] = TcbInfoState({
            table: table,
            issueDate: uint32(document.issueDate), // not after now
            until: uint32(until),
            evaluation: document.evaluation,
            signerGeneration: _head.signerGeneration
        });
        emit TcbInfoAdded(document.fmspc, document.pceId, document.issueDate, until, document.evaluation);
    }

    /// @inheritdoc ICollateralRegistry
    function tcbInfoOf(
        bytes6 fmspc,
        bytes2 pceId
    ) external view returns (uint256 issueDate, uint256 until, uint256 evaluation) {
        TcbInfoState storage state = _tcbInfos[_platformKind(fmspc, pceId)];
        bool isSigned = state.signerGeneration == _head.signerGeneration;
        return (state.issueDate, isSigned ? state.until : 0, state.evaluation);
    }

    // ---- the quoting enclave

    /// @inheritdoc ICollateralRegistry
    function addQeIdentity(bytes calldata qeIdentity_, bytes calldata signature, bytes20 signer) external {
        uint256 signerUntil = _checkTcbSigner(signer, sha256(qeIdentity_), signature);
        (QeIdentity memory identity, bytes memory levels) = CollateralReader.qeIdentity(qeIdentity_);
        _checkValidity(identity.issueDate, identity.until);
        identity.until = uint40(_min(signerUntil, identity.until));

        QeIdentity memory current = _qeIdentity;
        _checkNotOlder(identity.issueDate, current.issueDate, identity.evaluation, current.evaluation);
        Head memory head = _head;
        if (_requirement(identity) != _requirement(current)) ++head.qeGeneration;
        head.qeUntil = identity.until;
        head.qeEvaluation = identity.evaluation;
        (head.qeLevels, head.qeLevelTable) = _packLevels(levels);
        _head = head;
        _qeIdentity = identity;
        emit QeIdentityAdded(identity.issueDate, identity.until, identity.evaluation);
    }

    /// @inheritdoc ICollateralRegistry
    function qeIdentity() external view returns (QeIdentity memory) {
        return _qeIdentity;
    }

    /// @inheritdoc ICollateralRegistry
    function addAttestationKey(
        bytes calldata pckKey,
        bytes calldata attestationKey,
        bytes calldata certification
    ) external returns (bytes20 key) {
        require(pckKey.length == 64 && attestationKey.length == 64, InvalidSignature());
        bytes20 pck = EcdsaP256.id(bytes32(pckKey[:32]), bytes32(pckKey[32:]));
        (Pck memory platform, ) = _platform(pck);
        _checkCertification(certification, pckKey);
        key = EcdsaP256.id(bytes32(attestationKey[:32]), bytes32(attestationKey[32:]));
        // REPORTDATA = SHA-256(attestation key ‖ authentication data) ‖ zeros
        require(
            bytes32(certification[320:352]) == sha256(bytes.concat(attestationKey, certification[CERTIFICATION:])) &&
                bytes32(certification[352:384]) == 0,
            UnboundAttestationKey(key)
        );
        uint16 isvSvn = _checkQuotingEnclave(certification);

        AttestationKey memory current = _keys[key];
        if (current.index == 0) {
            current.index = ++_keyCount;
            _keyAt[current.index] = key;
            emit AttestationKeyAdded(key, pck, current.index);
        } else {
            _checkReplacement(current, pck, platform, isvSvn);
        }
        _keys[key] = AttestationKey({pck: pck, isvSvn: isvSvn, qeGeneration: _head.qeGeneration, index: current.index});
    }

    /// @inheritdoc ICollateralRegistry
    function attestationKeyOf(bytes20 key) external view returns (uint256 index, bytes20 pck, uint256 isvSvn) {
        AttestationKey storage state = _keys[key];
        return (state.index, state.pck, state.isvSvn);
    }

    /// @inheritdoc ICollateralRegistry
    function platformAt(uint40 index) external view returns (bytes20 pck) {
        return _keys[_keyAt[index]].pck;
    }

    // ---- evidence

    /// @inheritdoc ICollateralRegistry
    function evidenceAt(uint40 index) external view returns (PlatformEvidence memory) {
        return evidenceOf(_keyAt[index]);
    }

    /// @inheritdoc ICollateralRegistry
    function evidenceOf(bytes20 attestationKey) public view returns (PlatformEvidence memory evidence) {
        AttestationKey memory key = _keys[attestationKey];
        require(key.index != 0, UnknownAttestationKey(attestationKey));
        (Pck memory pck, uint256 until) = _platform(key.pck);

        Head memory head = _head;
        require(block.timestamp <= head.rootCrlUntil, CrlExpired(0, head.rootCrlUntil));
        require(block.timestamp <= head.qeUntil, NoQeIdentity());
        require(key.qeGeneration == head.qeGeneration, WrongQuotingEnclave("identity"));
        (bool found, TcbStatus qeStatus) = _qeStatus(head, key.isvSvn);
        require(found, WrongQuotingEnclave("isvsvn"));

        TcbInfoState memory tcbInfo = _tcbInfos[_platformKind(pck.fmspc, pck.pceId)];
        require(
            block.timestamp <= tcbInfo.until && tcbInfo.signerGeneration == head.signerGeneration,
            NoTcbInfo(pck.fmspc, pck.pceId)
        );
        until = _min(_min(until, tcbInfo.until), _min(head.rootCrlUntil, head.qeUntil));
        evidence = PlatformEvidence({
            attestationKey: key.index,
            pck: key.pck,
            cpuSvn: pck.cpuSvn,
            pceSvn: pck.pceSvn,
            qeStatus: qeStatus,
            evaluation: uint16(_min(tcbInfo.evaluation, head.qeEvaluation)),
            until: uint40(until), // at most that of tcbInfo
            tcbTable: tcbInfo.table
        });
    }

    // ---- CertificateRegistry

    function _rootCrlAdded(uint256 nextUpdate) internal override {
        _head.rootCrlUntil = uint40(nextUpdate); // years have four digits
    }

    function _tcbSignerRevoked() internal override {
        ++_head.signerGeneration;
        _head.qeUntil = 0;
        _qeIdentity.until = 0;
    }

    // ---- checks

    /// The platform signed the report of its quoting enclave.
    function _checkCertification(bytes calldata certification, bytes calldata pckKey) private view {
        require(certification.length >= CERTIFICATION, InvalidSignature());
        uint256 authentication = uint8(certification[448]) | (uint256(uint8(certification[449])) << 8);
        require(certification.length == CERTIFICATION + authentication, InvalidSignature());
        _checkSignature(
            sha256(certification[:QE_REPORT]),
            bytes32(certification[384:416]),
            bytes32(certification[416:448]),
            bytes32(pckKey[:32]),
            bytes32(pckKey[32:])
        );
    }

    /// The report is that of Intel's quoting enclave, as far as its identity says; whether its isvsvn suffices is asked for every quote.
    function _checkQuotingEnclave(bytes calldata report) private view returns (uint16 isvSvn) {
        QeIdentity memory identity = _qeIdentity;
        require(block.timestamp <= identity.until, NoQeIdentity());
        bytes16 attributes = bytes16(report[48:64]);
        require(
            bytes4(report[16:20]) & identity.miscSelectMask == identity.miscSelect & identity.miscSelectMask,
            WrongQuotingEnclave("miscselect")
        );
        require(
            attributes & identity.attributesMask == identity.attributes & identity.attributesMask,
            WrongQuotingEnclave("attributes")
        );
        require(uint128(attributes) & DEBUG == 0, WrongQuotingEnclave("debug"));
        require(bytes32(report[128:160]) == identity.mrSigner, WrongQuotingEnclave("mrsigner"));
        require(_littleEndian16(report, 256) == identity.isvProdId, WrongQuotingEnclave("isvprodid"));
        isvSvn = _littleEndian16(report, 258);
        (bool found, ) = _qeStatus(_head, isvSvn);
        require(found, WrongQuotingEnclave("isvsvn"));
    }

    /// A key that is known is certified again, with another platform certificate after a TCB recovery: never to the worse, as old certifications
    /// are public.
    function _checkReplacement(
        AttestationKey memory current,
        bytes20 pck,
        Pck memory platform,
        uint16 isvSvn
    ) private view {
        Pck memory before = pckOf(current.pck);
        require(
            (pck == current.pck || before.revoked || _reaches(platform, before)) && isvSvn >= current.isvSvn,
            WorseCertification(pck, current.pck)
        );
    }

    function _reaches(Pck memory platform, Pck memory before) private pure returns (bool) {
        return TcbTable.reaches(uint128(platform.cpuSvn), uint128(before.cpuSvn)) && platform.pceSvn >= before.pceSvn;
    }

    function _checkNotOlder(
        uint256 issueDate,
        uint256 currentIssueDate,
        uint256 evaluation,
        uint256 currentEvaluation
    ) private pure {
        require(
            issueDate >= currentIssueDate && evaluation >= currentEvaluation,
            Superseded(issueDate, currentIssueDate, evaluation, currentEvaluation)
        );
    }

    /// Status by the first level that `isvSvn` reaches.
    function _qeStatus(Head memory head, uint256 isvSvn) private pure returns (bool found, TcbStatus status) {
        uint256 table = uint256(head.qeLevelTable) << 136;
        for (uint256 i; i < head.qeLevels; ++i) {
            if (isvSvn >= table >> 240) return (true, TcbStatus(uint8(table >> 232)));
            table <<= 24;
        }
    }

    /// Levels as TcbInfo.isvLevels gives them.
    function _packLevels(bytes memory levels) private pure returns (uint8 count, uint120 table) {
        count = uint8(_min(uint8(levels[0]), MAX_QE_LEVELS));
        uint256 word;
        assembly ("memory-safe") {
            // what follows the count; memory behind a short list does not matter, as nobody looks further than the count
            word := mload(add(levels, 0x21))
        }
        table = uint120(word >> 136);
    }

    /// What a quoting enclave must be, but for its isvsvn.
    function _requirement(QeIdentity memory identity) private pure returns (bytes32) {
        return
            keccak256(
                abi.encode(
                    identity.mrSigner,
                    identity.attributes,
                    identity.attributesMask,
                    identity.miscSelect,
                    identity.miscSelectMask,
                    identity.isvProdId
                )
            );
    }

    function _platformKind(bytes6 fmspc, bytes2 pceId) private pure returns (bytes8) {
        return bytes8((uint64(uint48(fmspc)) << 16) | uint16(pceId));
    }

    function _littleEndian16(bytes calldata report, uint256 offset) private pure returns (uint16) {
        return uint16(uint8(report[offset])) | (uint16(uint8(report[offset + 1])) << 8);
    }
}
