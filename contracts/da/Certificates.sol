// SPDX-License-Identifier: Apache-2.0
pragma solidity ^0.8.37;

import {ECDSA} from "@openzeppelin/contracts/utils/cryptography/ECDSA.sol";
import {BN254, G1Point} from "../lib/BN254.sol";
import {BatchTree} from "./BatchTree.sol";
import {Epochs} from "./Epochs.sol";
import {IDACertificates} from "./IDACertificates.sol";
import {MemberCode} from "./MemberCode.sol";

/// @title Certificates
/// @notice Made once and never changed. The sum of the signers' keys is that of all members less those of the absent ones.
abstract contract Certificates is IDACertificates, Epochs {
    /// One slot: epoch (32 bits) ‖ time (40, unix seconds) ‖ the upper 184 of the hash of the absent list.
    type Certificate is uint256;

    /// What a certificate is checked against.
    struct Count {
        uint256 members;
        uint256 total;
        uint256 missing;
    }

    /// @custom:storage-location erc7201:perigee.storage.Certificates
    struct CertificatesStorage {
        mapping(bytes32 batchRoot => Certificate) certificates;
    }

    uint256 private constant SIGNATURE_LENGTH = 65;
    bytes32 private constant CERTIFICATE = keccak256("DACert v1");
    bytes32 private constant STORAGE = bytes32(erc7201("perigee.storage.Certificates"));

    // ---- certifying

    /// @inheritdoc IDACertificates
    function certify(
        bytes32 batchRoot,
        uint64 epoch,
        bytes calldata absent,
        AggregateSignature calldata aggregate
    ) external {
        (EpochRecord storage record, Count memory count) = _open(batchRoot, epoch);
        G1Point memory key = record.aggregateKey;
        if (absent.length != 0) _subtract(record, count, key, absent);
        _checkWeight(count);
        (bool valid, G1Point memory hash) = BN254.hashToG1(digest(epoch, batchRoot), aggregate.counter, aggregate.y);
        require(valid, InvalidHint());
        require(BN254.isSignature(aggregate.signature, key, aggregate.key, hash), InvalidSignature());
        _certify(batchRoot, epoch, absent, count, keccak256(abi.encode(aggregate.signature)));
    }

    /// @inheritdoc IDACertificates
    function certifyBySignatures(
        bytes32 batchRoot,
        uint64 epoch,
        bytes calldata absent,
        bytes calldata signatures
    ) external {
        (EpochRecord storage record, Count memory count) = _open(batchRoot, epoch);
        _recover(record, count, digest(epoch, batchRoot), absent, signatures);
        _checkWeight(count);
        _certify(batchRoot, epoch, absent, count, keccak256(signatures));
    }

    function _open(
        bytes32 batchRoot,
        uint64 epoch
    ) private view returns (EpochRecord storage record, Count memory count) {
        require(_certificateOf(batchRoot) == 0, AlreadyCertified(batchRoot));
        EpochsStorage storage $ = _epochsStorage();
        record = $.records[epoch];
        Head memory head = $.head;
        uint256 startedAt = head.startedAt;
        if (epoch == head.epoch) {
            count = Count({members: head.members, total: head.totalWeight, missing: 0});
        } else {
            require(uint256(epoch) + 1 == head.epoch, EpochClosed(epoch));
            startedAt = record.startedAt;
            count = Count({members: record.members, total: record.totalWeight, missing: 0});
        }
        require(epoch != 0 && block.timestamp < startedAt + CERTIFIABLE_EPOCHS * epochLength, EpochClosed(epoch));
    }

    /// Takes the keys of the absent members from `key`, and counts their weights.
    function _subtract(
        EpochRecord storage record,
        Count memory count,
        G1Point memory key,
        bytes calldata absent
    ) private view {
        uint256 next = 0; // the least index that may follow
        address pointer;
        uint256 loaded = type(uint256).max;
        uint256 missing = 0;
        for (uint256 i = 0; i < absent.length; i += 2) {
            uint256 index = _absentAt(absent, i);
            require(index >= next && index < count.members, InvalidAbsent());
            next = index + 1;
            if (index / MemberCode.PER_CHUNK != loaded) {
                loaded = index / MemberCode.PER_CHUNK;
                pointer = record.chunks[loaded];
            }
            (uint256 x, uint256 y, uint256 weight) = MemberCode.keyOf(pointer, index % MemberCode.PER_CHUNK);
            // Keys of members are points of the curve, and none is infinity: so their negatives are points too.
            assert(BN254.addTo(key, x, BN254.P - y));
            missing += weight;
        }
        count.missing = missing;
    }

    /// Checks the signature of each member that is not absent, and counts the weights of those that are.
    function _recover(
        EpochRecord storage record,
        Count memory count,
        bytes32 digest_,
        bytes calldata absent,
        bytes calldata signatures
    ) private view {
        uint256 inAbsent = 0;
        uint256 inSignatures = 0;
        for (uint256 index = 0; index < count.members; ++index) {
            address pointer = record.chunks[index / MemberCode.PER_CHUNK];
            (address account, uint256 weight) = MemberCode.holder(pointer, index % MemberCode.PER_CHUNK);
            if (inAbsent < absent.length && _absentAt(absent, inAbsent) == index) {
                count.missing += weight;
                inAbsent += 2;
                continue;
            }
            uint256 end = inSignatures + SIGNATURE_LENGTH;
            require(end <= signatures.length, InvalidSignature());
            (address recovered, , ) = ECDSA.tryRecoverCalldata(digest_, signatures[inSignatures:end]);
            require(recovered == account, WrongSigner(index, recovered));
            inSignatures = end;
        }
        // Whatever was not met on the way is out of order, or out of range.
        require(inAbsent == absent.length, InvalidAbsent());
        require(inSignatures == signatures.length, InvalidSignature());
    }

    function _absentAt(bytes calldata absent, uint256 from) private pure returns (uint256) {
        require(from + 2 <= absent.length, InvalidAbsent());
        return uint16(bytes2(absent[from:from + 2]));
    }

    function _checkWeight(Count memory count) private pure {
        uint256 signed = count.total - count.missing;
        require(3 * signed >= 2 * count.total, NotEnoughWeight(signed, count.total));
    }

    function _certify(
        bytes32 batchRoot,
        uint64 epoch,
        bytes calldata absent,
        Count memory count,
        bytes32 contribution
    ) private {
        _certificatesStorage().certificates[batchRoot] = Certificate.wrap(
            (uint256(epoch) << 224) | (block.timestamp << 184) | _absentHash(absent)
        );
        _epochsStorage().head.lastCertificate = uint72(uint256(contribution));
        emit BatchCertified(batchRoot, epoch, uint96(count.total - count.missing), uint96(count.total), absent);
    }

    // ---- reading

    /// @inheritdoc IDACertificates
    function digest(uint64 epoch, bytes32 batchRoot) public view returns (bytes32) {
        return keccak256(abi.encode(CERTIFICATE, block.chainid, address(this), epoch, batchRoot));
    }

    /// @inheritdoc IDACertificates
    function certificateOf(bytes32 batchRoot) external view returns (uint64 epoch, uint64 certifiedAt) {
        uint256 certificate = _certificateOf(batchRoot);
        return (uint64(certificate >> 224), uint40(certificate >> 184));
    }

    /// @inheritdoc IDACertificates
    function isAvailable(
        bytes32 blobId,
        bytes32 batchRoot,
        uint256 index,
        bytes32[] calldata proof
    ) external view returns (bool) {
        return _certificateOf(batchRoot) != 0 && BatchTree.verify(batchRoot, blobId, index, proof);
    }

    /// @inheritdoc IDACertificates
    function holderOf(
        bytes32 batchRoot,
        uint256 index,
        bytes32 blobId,
        uint8 log2K,
        uint32 row
    ) external view returns (uint64 certifiedAt, address account) {
        uint256 certificate = _certificateOf(batchRoot);
        if (certificate == 0) return (0, address(0));
        EpochRecord storage record = _epochsStorage().records[certificate >> 224];
        return (uint40(certificate >> 184), _holder(record, index, blobId, log2K, row));
    }

    /// @inheritdoc IDACertificates
    function isAbsentList(bytes32 batchRoot, bytes calldata absent) external view returns (bool) {
        // The bits of a batch without a certificate are 0, and no list has that hash.
        return uint184(_certificateOf(batchRoot)) == _absentHash(absent);
    }

    function _certificateOf(bytes32 batchRoot) private view returns (uint256) {
        return Certificate.unwrap(_certificatesStorage().certificates[batchRoot]);
    }

    function _absentHash(bytes calldata absent) private pure returns (uint256) {
        return uint256(keccak256(absent)) >> 72;
    }

    function _certificatesStorage() private pure returns (CertificatesStorage storage $) {
        bytes32 slot = STORAGE;
        assembly ("memory-safe") {
            $.slot := slot
        }
    }
}
